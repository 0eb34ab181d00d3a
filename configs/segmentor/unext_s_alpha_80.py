"""The segmentor S on vessels from the 80th percentile, α = 80 (table X).

    tools/train.py configs/segmentor/unext_s_alpha_80.py

The pack is a copy of `xa170k` with its own anatomy:

    cp -r {work}/packs/xa170k {work}/packs/xa170k_alpha_80
    tools/extract_anatomy.py {work}/packs/xa170k_alpha_80 --alpha 80 --overwrite
"""

from mmengine.config import read_base

with read_base():
    from .unext_s import *

card.update(title="UNeXt-S, α = 80")
packs = ["{work}/packs/xa170k_alpha_80"]

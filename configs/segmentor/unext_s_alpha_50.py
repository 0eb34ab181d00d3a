"""The segmentor S on vessels from the 50th percentile, α = 50 (table X).

    tools/train.py configs/segmentor/unext_s_alpha_50.py

The pack is a copy of `xa170k` with its own anatomy:

    cp -r {work}/packs/xa170k {work}/packs/xa170k_alpha_50
    tools/extract_anatomy.py {work}/packs/xa170k_alpha_50 --alpha 50 --overwrite
"""

from mmengine.config import read_base

with read_base():
    from .unext_s import *

card.update(title="UNeXt-S, α = 50")
packs = ["{work}/packs/xa170k_alpha_50"]

"""Anatomy quality: vessels and segmentor from the 80th percentile, α = 80 (table X).

The pack is a copy of `xa170k` with its own anatomy, and the segmentor is trained on it:

    tools/extract_anatomy.py {work}/packs/xa170k_alpha_80 --alpha 80 --overwrite
    tools/train.py configs/segmentor/unext_s.py --packs {work}/packs/xa170k_alpha_80 \\
        --work-dir {work}/segmentor/unext_s_alpha_80
"""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

card.update(title="VasoMIM, α = 80")
packs = ["{work}/packs/xa170k_alpha_80"]
method["segmentor"].update(checkpoint="{work}/segmentor/unext_s_alpha_80/segmentor.safetensors")

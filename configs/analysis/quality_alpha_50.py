"""Anatomy quality: vessels and segmentor from the 50th percentile, α = 50 (table X).

The pack is a copy of `xa170k` with its own anatomy, and the segmentor is trained on it:

    tools/extract_anatomy.py {work}/packs/xa170k_alpha_50 --alpha 50 --overwrite
    tools/train.py configs/segmentor/unext_s.py --packs {work}/packs/xa170k_alpha_50 \\
        --work-dir {work}/segmentor/unext_s_alpha_50
"""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

card.update(title="VasoMIM, α = 50")
packs = ["{work}/packs/xa170k_alpha_50"]
method["segmentor"].update(checkpoint="{work}/segmentor/unext_s_alpha_50/segmentor.safetensors")

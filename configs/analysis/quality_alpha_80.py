"""Anatomy quality: vessels and segmentor from the 80th percentile, α = 80 (table X).

Needs the segmentor of `configs/segmentor/unext_s_alpha_80.py`, which says how the pack is made.
"""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

card.update(title="VasoMIM, α = 80")
packs = ["{work}/packs/xa170k_alpha_80"]
method["segmentor"].update(checkpoint="{work}/segmentor/unext_s_alpha_80/segmentor.safetensors")

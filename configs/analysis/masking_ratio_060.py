"""Masking ratio γ = 0.6 (figure 10): 117 of 196 patches; 118 in the released code."""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

card.update(title="VasoMIM, γ = 0.6")
method["masking"].update(ratio=0.6)

"""Masking ratio γ = 0.4 (figure 10): 78 of 196 patches; 79 in the released code."""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

card.update(title="VasoMIM, γ = 0.4")
method["masking"].update(ratio=0.4)

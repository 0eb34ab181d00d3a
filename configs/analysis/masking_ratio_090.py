"""Masking ratio γ = 0.9 (figure 10): 176 of 196 patches; 177 in the released code."""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

card.update(title="VasoMIM, γ = 0.9")
method["masking"].update(ratio=0.9)

"""Masking ratio γ = 0.25 (figure 10)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

card.update(title="VasoMIM, γ = 0.25")
method["masking"].update(ratio=0.25)

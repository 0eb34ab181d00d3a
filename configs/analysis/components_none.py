"""Components, neither: random masking and L_rec alone, MAE at γ = 0.5 (table IV)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

from benchmark.nn.masking.random import RandomMasking

card.update(title="VasoMIM, neither component")
method["masking"] = dict(type=RandomMasking, ratio=0.5)
method.update(consistency=None)

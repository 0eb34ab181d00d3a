"""Guidance: random masking with L_cons (tables IV, VII and VIII, the same run in all three)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

from benchmark.nn.masking.random import RandomMasking

card.update(title="VasoMIM, random masking")
method["masking"] = dict(type=RandomMasking, ratio=0.5)

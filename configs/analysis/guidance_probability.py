"""Guidance: the segmentor's probability map alone, η = 0 (table VII)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

card.update(title="VasoMIM, guided by the probability map")
method["masking"].update(eta=0.0)

"""Metric of the anatomical consistency: Dice (AAAI table S6)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim_v1.pretrain import *

card.update(title="VasoMIM-v1, Dice consistency")
method["consistency"].update(metric="dice")

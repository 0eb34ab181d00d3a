"""Guidance: extracted vessels alone, η = 1 (table VII)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

card.update(title="VasoMIM, guided by vesselness")
method["masking"].update(eta=1.0)

"""Components of VasoMIM-v1, guided masking alone (AAAI tables 2, S4, S5 and S6)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim_v1.pretrain import *

card.update(title="VasoMIM-v1, guidance alone")
method.update(consistency=None)

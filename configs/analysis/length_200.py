"""Length of the pre-training: 200 epochs (AAAI figure 7)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim_v1.pretrain import *

card.update(title="VasoMIM-v1, 200 epochs")
epochs = 200
scales = dict(small={"epochs": 25}, tiny={"epochs": 3})

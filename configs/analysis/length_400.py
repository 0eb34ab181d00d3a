"""Length of the pre-training: 400 epochs (AAAI figure 7)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim_v1.pretrain import *

card.update(title="VasoMIM-v1, 400 epochs")
epochs = 400
scales = dict(small={"epochs": 50}, tiny={"epochs": 5})

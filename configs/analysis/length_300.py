"""Length of the pre-training: 300 epochs (AAAI figure 7)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim_v1.pretrain import *

card.update(title="VasoMIM-v1, 300 epochs")
epochs = 300
scales = dict(small={"epochs": 38}, tiny={"epochs": 4})

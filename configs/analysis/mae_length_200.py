"""Length of the pre-training of MAE: 200 epochs (AAAI figure 7)."""

from mmengine.config import read_base

with read_base():
    from ..mae.pretrain import *

card.update(title="MAE, 200 epochs")
epochs = 200
scales = dict(small={"epochs": 25}, tiny={"epochs": 3})

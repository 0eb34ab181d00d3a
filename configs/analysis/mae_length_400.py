"""Length of the pre-training of MAE: 400 epochs (AAAI figure 7)."""

from mmengine.config import read_base

with read_base():
    from ..mae.pretrain import *

card.update(title="MAE, 400 epochs")
epochs = 400
scales = dict(small={"epochs": 50}, tiny={"epochs": 5})

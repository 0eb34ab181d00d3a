"""Length of the pre-training of MAE: 300 epochs (AAAI figure 7)."""

from mmengine.config import read_base

with read_base():
    from ..mae.pretrain import *

card.update(title="MAE, 300 epochs")
epochs = 300
scales = dict(small={"epochs": 38}, tiny={"epochs": 4})

"""MAE, pre-trained with seed 2 (further analyses): two sources of variance."""

from mmengine.config import read_base

with read_base():
    from ..mae.pretrain import *

card.update(title="MAE, pre-training seed 2")
seed = 2

"""Random weights: the encoder before pre-training, the level that pre-training has to exceed.

    tools/train.py configs/random/pretrain.py --seed 0

The initial weights of MAE's ViT, by seed. No frame is seen, and no pack is needed.
"""

from mmengine.config import read_base

with read_base():
    from ..mae.pretrain import *

card.update(
    title="Random weights",
    family="no pre-training",
    paper="—",
    pretraining="—",
)
epochs = 0
scales = dict(small=dict(epochs=0), tiny=dict(epochs=0))

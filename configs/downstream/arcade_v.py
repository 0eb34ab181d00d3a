"""Vessel segmentation on ARCADE (Popov et al., Sci Data 2024): the union of all segments.

tools/prepare_data.py arcade --raw DIR --out work_dirs/downstream/arcade_v
tools/finetune.py --method mae --dataset arcade_v --seed 0 1 2 3 4
"""

from mmengine.config import read_base

with read_base():
    from .._base_.segmentation import *

data = dict(folder="{work}/downstream/arcade_v")
base_lr = 2e-4
epochs = 100

"""Vessel segmentation on CAXF, an in-house set of 538 frames available on request.

tools/prepare_data.py caxf --raw DIR --out work_dirs/downstream/caxf
tools/finetune.py --method mae --dataset caxf --seed 0 1 2 3 4
"""

from mmengine.config import read_base

with read_base():
    from .._base_.segmentation import *

data = dict(folder="{work}/downstream/caxf")
base_lr = 4e-4
epochs = 200

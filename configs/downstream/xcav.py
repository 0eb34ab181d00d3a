"""Vessel segmentation on XCAV (XACV of DeNVeR, CVPR 2025), split by patient.

    tools/prepare_data.py xcav --raw DIR --out work_dirs/downstream/xcav
    tools/finetune.py --method mae --dataset xcav --seed 0 1 2 3 4

The papers' 175 / 46 frames are not published: the split is drawn at random, or
your own list is used.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.segmentation import *

data = dict(folder="{work}/downstream/xcav")
base_lr = 6e-4
epochs = 200

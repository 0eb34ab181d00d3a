"""Vessel segmentation on XCAV under protocol `aaai`, on the data of `configs/downstream/xcav.py`.

tools/finetune.py --method mae --protocol aaai --dataset xcav --seed 0 1 2
"""

from mmengine.config import read_base

with read_base():
    from ..._base_.aaai import *

data = dict(folder="{work}/downstream/xcav")

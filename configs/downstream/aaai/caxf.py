"""Vessel segmentation on CAXF under protocol `aaai`, on the data of `configs/downstream/caxf.py`.

tools/finetune.py --method mae --protocol aaai --dataset caxf --seed 0 1 2
"""

from mmengine.config import read_base

with read_base():
    from ..._base_.aaai import *

data = dict(folder="{work}/downstream/caxf")

"""Vessel segmentation on synthetic angiograms under protocol `aaai`, to try the protocol.

tools/finetune.py --method mae --protocol aaai --dataset synthetic_v --scale tiny --seed 0 1 2
"""

from mmengine.config import read_base

with read_base():
    from ..._base_.aaai import *

data = dict(folder="{work}/downstream/synthetic_v")

r"""Vessel segmentation on ARCADE under protocol `aaai`: 200 images to train on, 300 to test on.

    tools/prepare_data.py arcade --raw DIR --option train=val \
        --out work_dirs/downstream/arcade_v_aaai
    tools/finetune.py --method mae --protocol aaai --dataset arcade_v --seed 0 1 2
"""

from mmengine.config import read_base

with read_base():
    from ..._base_.aaai import *

data = dict(folder="{work}/downstream/arcade_v_aaai")

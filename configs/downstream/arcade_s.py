r"""Stenosis segmentation on ARCADE (Popov et al., Sci Data 2024).

    tools/prepare_data.py arcade --raw DIR --option task=arcade_s \
        --out work_dirs/downstream/arcade_s
    tools/finetune.py --method mae --dataset arcade_s --seed 0 1 2 3 4
"""

from mmengine.config import read_base

with read_base():
    from .._base_.segmentation import *

data = dict(folder="{work}/downstream/arcade_s")
base_lr = 8e-5
epochs = 100
metrics = ("dsc",)

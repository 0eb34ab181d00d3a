r"""Stenosis segmentation on synthetic angiograms, the twin of `arcade_s`.

    tools/prepare_data.py synthetic --as segmentation --option task=synthetic_s \
        --out work_dirs/downstream/synthetic_s
    tools/finetune.py --method mae --dataset synthetic_s --seed 0 1 2
"""

from mmengine.config import read_base

with read_base():
    from .synthetic_v import *

data = dict(folder="{work}/downstream/synthetic_s")
base_lr = 8e-5
metrics = ("dsc",)

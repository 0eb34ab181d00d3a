"""Stenosis detection on the set of Danilov et al. (2021): 7,492 training and 833 test frames.

    tools/prepare_data.py stenosis --raw DIR --as detection --out work_dirs/downstream/stenosis
    tools/finetune.py --method mae --dataset stenosis --seed 0 1 2 3 4

The official split is drawn by frame: neighbouring frames of a video are on both sides of it.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.detection import *

data = dict(folder="{work}/downstream/stenosis")

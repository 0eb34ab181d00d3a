r"""Segmentation of 25 vessel segments on ARCADE (Popov et al., Sci Data 2024); overlaps are kept.

    tools/prepare_data.py arcade --raw DIR --option task=arcade_vs \
        --out work_dirs/downstream/arcade_vs
    tools/finetune.py --method mae --dataset arcade_vs --seed 0 1 2 3 4
"""

from mmengine.config import read_base

with read_base():
    from .._base_.segmentation import *

data = dict(folder="{work}/downstream/arcade_vs")
base_lr = 1e-4
epochs = 100
# At the learning rates of the other sets, small networks predict background everywhere.
scales = dict(tiny=dict(base_lr=3e-4, epochs=60), small=dict(base_lr=5e-4))
metrics = ("dsc",)  # all classes of an image at once; per class in the record

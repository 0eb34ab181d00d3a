r"""Segmentation of 25 vessel segments on synthetic angiograms, the twin of `arcade_vs`.

    tools/prepare_data.py synthetic --as segmentation --option task=synthetic_vs \
        --out work_dirs/downstream/synthetic_vs
    tools/finetune.py --method mae --dataset synthetic_vs --seed 0 1 2
"""

from mmengine.config import read_base

with read_base():
    from .synthetic_s import *

data = dict(folder="{work}/downstream/synthetic_vs")
base_lr = 1e-4
# At the learning rates of the other sets, small networks predict background everywhere.
scales = dict(tiny=dict(base_lr=3e-4, epochs=60), small=dict(base_lr=5e-4))

"""Vessel segmentation on synthetic angiograms: exact truth, no download, patient-disjoint split.

tools/prepare_data.py synthetic --as segmentation --out work_dirs/downstream/synthetic_v
tools/finetune.py --method mae --dataset synthetic_v --seed 0 1 2
"""

from mmengine.config import read_base

with read_base():
    from .._base_.segmentation import *

data = dict(folder="{work}/downstream/synthetic_v")
base_lr = 2e-4
epochs = 100
# Small networks on few small frames need larger steps.
scales = dict(tiny=dict(base_lr=2e-3, epochs=15), small=dict(base_lr=5e-4))

"""Denoising of synthetic angiograms: exact truth, no download, patient-disjoint split.

tools/prepare_data.py synthetic --as denoising --out work_dirs/downstream/synthetic_n
tools/finetune.py --method mae --dataset synthetic_n --seed 0 1 2
"""

from mmengine.config import read_base

with read_base():
    from .._base_.denoising import *

data = dict(folder="{work}/downstream/synthetic_n")

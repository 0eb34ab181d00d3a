r"""Stenosis detection on synthetic angiograms: exact truth, no download, patient-disjoint split.

    tools/prepare_data.py synthetic --as detection \
        --out work_dirs/downstream/synthetic_d
    tools/finetune.py --method mae --dataset synthetic_d --seed 0 1 2

Frames of 96² are too coarse for stenoses in the whole view. Scale `mini` expects close-ups, with
``--option size=96 field=0.25``.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.detection import *

data = dict(folder="{work}/downstream/synthetic_d")

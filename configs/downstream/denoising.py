r"""Denoising of CoronaryDominance frames with quantum and electronic noise and blur (VasoMIM AAAI).

    tools/prepare_data.py coronary_dominance --raw DIR --as denoising \
        --out work_dirs/downstream/denoising
    tools/finetune.py --method mae --dataset denoising --seed 0 1 2

The paper's 1,286 / 309 frames are not published: studies, frames and noise are drawn by rule, the
studies by patient, and are excluded from the packs by default.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.denoising import *

data = dict(folder="{work}/downstream/denoising")

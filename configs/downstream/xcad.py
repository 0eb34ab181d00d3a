"""The masks of XCAD, for patch features only (AAAI table 3).

    tools/prepare_data.py xcad --raw DIR --as segmentation --out work_dirs/downstream/xcad
    tools/analyse.py representations --method vasomim_v1 --dataset xcad --split test \\
        --work work_dirs/aaai --data work_dirs/downstream/xcad

The 126 frames with masks are its test split; there are none to fine-tune on. Its training frames,
without masks, are part of both pre-training datasets.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.aaai import *

data = dict(folder="{work}/downstream/xcad")

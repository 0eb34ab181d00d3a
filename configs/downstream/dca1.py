"""Vessel segmentation on DCA1 (Cervantes-Sanchez et al. 2019): small, real, public.

    tools/prepare_data.py dca1 --raw DIR --as segmentation --out work_dirs/downstream/dca1
    tools/finetune.py --method mae --dataset dca1 --seed 0 1 2 3 4

Not part of the papers: split in natural order, 3 : 1; learning rate and epochs as for XCAV, the
smallest set of the papers.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.segmentation import *

data = dict(folder="{work}/downstream/dca1")
base_lr = 6e-4
epochs = 200
# Small networks on few small frames need larger steps.
scales = dict(tiny=dict(base_lr=2e-3, epochs=60), small=dict(base_lr=5e-4))

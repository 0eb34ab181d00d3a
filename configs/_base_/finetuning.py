"""What every fine-tuning run starts from."""

from mmengine.config import read_base

with read_base():
    from .runtime import *

label_fraction = 1.0
clip_grad = None
checkpoint_interval = 20
keep_checkpoints = 0  # what counts is the record
examples = 4
export_model = True

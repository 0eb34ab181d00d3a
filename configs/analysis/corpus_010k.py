"""Size of the pre-training dataset: 10,000 frames of XA-170K, complete patients (figure 7)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

card.update(title="VasoMIM, 10K frames")
frames = 10_000
scales = dict(small={"frames": 100}, tiny={"frames": 10})

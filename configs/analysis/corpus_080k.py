"""Size of the pre-training dataset: 80,000 frames of XA-170K, complete patients (figure 7)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

card.update(title="VasoMIM, 80K frames")
frames = 80_000
scales = dict(small={"frames": 800}, tiny={"frames": 80})

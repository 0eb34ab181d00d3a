"""Size of the pre-training dataset: 40,000 frames of XA-170K, complete patients (figure 7)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

card.update(title="VasoMIM, 40K frames")
frames = 40_000
scales = dict(small={"frames": 400}, tiny={"frames": 40})

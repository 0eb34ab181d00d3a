"""Size of the pre-training dataset: 20,000 frames of XA-170K, complete patients (figure 7)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

card.update(title="VasoMIM, 20K frames")
frames = 20_000
scales = dict(small={"frames": 200}, tiny={"frames": 20})

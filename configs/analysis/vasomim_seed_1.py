"""VasoMIM, pre-trained with seed 1 (further analyses): two sources of variance."""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

card.update(title="VasoMIM, pre-training seed 1")
seed = 1

"""MAE with the masking ratio of VasoMIM, γ = 0.5 (further analyses)."""

from mmengine.config import read_base

with read_base():
    from ..mae.pretrain import *

card.update(title="MAE, γ = 0.5")
method["masking"].update(ratio=0.5)

"""Schedule of the guided share β: 0.5 → 0, from strong to weak (table VIII)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

card.update(title="VasoMIM, β 0.5 → 0")
method["masking"].update(beta_start=0.5, beta_end=0.0)

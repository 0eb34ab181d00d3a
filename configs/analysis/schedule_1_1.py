"""Schedule of the guided share β: 1 → 1, all masked patches guided from the start (table VIII)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

card.update(title="VasoMIM, β 1 → 1")
method["masking"].update(beta_start=1.0, beta_end=1.0)

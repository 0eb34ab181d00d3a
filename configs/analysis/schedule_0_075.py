"""Schedule of the guided share β: 0 → 0.75 (table VIII)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

card.update(title="VasoMIM, β 0 → 0.75")
method["masking"].update(beta_end=0.75)

"""Schedule of the guided share β of VasoMIM-v1: 1 → 1 (AAAI table 4)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim_v1.pretrain import *

card.update(title="VasoMIM-v1, β 1 → 1")
method["masking"].update(beta_start=1.0, beta_end=1.0)

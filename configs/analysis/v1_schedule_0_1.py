"""Schedule of the guided share β of VasoMIM-v1: 0 → 1 (AAAI table 4)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim_v1.pretrain import *

card.update(title="VasoMIM-v1, β 0 → 1")
method["masking"].update(beta_end=1.0)

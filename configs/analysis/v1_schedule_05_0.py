"""Schedule of the guided share β of VasoMIM-v1: 0.5 → 0, strong to weak (AAAI table 5)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim_v1.pretrain import *

card.update(title="VasoMIM-v1, β 0.5 → 0")
method["masking"].update(beta_start=0.5, beta_end=0.0)

"""Segmentor partly re-initialised after loading, as in the released code (further analyses).

Every linear layer and LayerNorm of it, see `methods.vasomim` and docs/protocol.md.
"""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

card.update(title="VasoMIM, segmentor re-initialised")
method.update(official_code=True)

"""Depth of the decoder: 2 (AAAI table S7); the same at every scale."""

from mmengine.config import read_base

with read_base():
    from ..vasomim_v1.pretrain import *

card.update(title="VasoMIM-v1, decoder of depth 2")
method["decoder"].update(depth=2)
scales = dict(small={"method.decoder.depth": 2}, tiny={"method.decoder.depth": 2})

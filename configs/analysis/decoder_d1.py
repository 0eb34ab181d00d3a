"""Depth of the decoder: 1 (AAAI table S7); the same at every scale."""

from mmengine.config import read_base

with read_base():
    from ..vasomim_v1.pretrain import *

card.update(title="VasoMIM-v1, decoder of depth 1")
method["decoder"].update(depth=1)
scales = dict(small={"method.decoder.depth": 1}, tiny={"method.decoder.depth": 1})

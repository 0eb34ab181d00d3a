"""Depth of the decoder: 4 (AAAI table S7); the same at every scale."""

from mmengine.config import read_base

with read_base():
    from ..vasomim_v1.pretrain import *

card.update(title="VasoMIM-v1, decoder of depth 4")
method["decoder"].update(depth=4)
scales = dict(small={"method.decoder.depth": 4}, tiny={"method.decoder.depth": 4})

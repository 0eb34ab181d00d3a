"""Depth of the decoder: 12 (AAAI table S7); the same at every scale."""

from mmengine.config import read_base

with read_base():
    from ..vasomim_v1.pretrain import *

card.update(title="VasoMIM-v1, decoder of depth 12")
method["decoder"].update(depth=12)
scales = dict(small={"method.decoder.depth": 12}, tiny={"method.decoder.depth": 12})

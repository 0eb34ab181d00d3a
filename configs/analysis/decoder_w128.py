"""Width of the decoder: 128 (AAAI table S7)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim_v1.pretrain import *

card.update(title="VasoMIM-v1, decoder of width 128")
method["decoder"].update(width=128)
scales = dict(small={"method.decoder.width": 64}, tiny={"method.decoder.width": 16})

"""Width of the decoder: 256 (AAAI table S7)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim_v1.pretrain import *

card.update(title="VasoMIM-v1, decoder of width 256")
method["decoder"].update(width=256)
scales = dict(small={"method.decoder.width": 128}, tiny={"method.decoder.width": 32})

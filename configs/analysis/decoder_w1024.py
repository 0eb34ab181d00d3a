"""Width of the decoder: 1024 (AAAI table S7)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim_v1.pretrain import *

card.update(title="VasoMIM-v1, decoder of width 1024")
method["decoder"].update(width=1024)
scales = dict(small={"method.decoder.width": 512}, tiny={"method.decoder.width": 128})

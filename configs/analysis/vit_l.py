"""Size of the encoder: ViT-L/16 (figure 8)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

card.update(title="VasoMIM, ViT-L/16")
method["encoder"].update(embed_dim=1024, depth=24, num_heads=16)
scales = dict(
    small={
        "method.encoder.embed_dim": 512,
        "method.encoder.depth": 8,
        "method.encoder.num_heads": 8,
    },
    tiny={
        "method.encoder.embed_dim": 128,
        "method.encoder.depth": 6,
        "method.encoder.num_heads": 4,
    },
)

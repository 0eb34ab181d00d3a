"""Size of the encoder: ViT-H/14 (figure 8)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

card.update(title="VasoMIM, ViT-H/14")
method["encoder"].update(patch_size=14, embed_dim=1280, depth=32, num_heads=16)
scales = dict(
    small={
        "method.encoder.embed_dim": 640,
        "method.encoder.depth": 10,
        "method.encoder.num_heads": 10,
    },
    tiny={
        "method.encoder.embed_dim": 160,
        "method.encoder.depth": 8,
        "method.encoder.num_heads": 5,
    },
)

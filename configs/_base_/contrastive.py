"""Shared by the methods that compare views of a frame: the run, the encoder and the augmentations.

AdamW with torch's betas; ViT-B/16 at 224². Of BYOL's augmentations, which MoCo v3, DINO and iBOT
adopted, brightness, contrast, blur and solarisation apply to grey frames.
"""

from mmengine.config import read_base

with read_base():
    from .pretraining import *

from torch.optim import AdamW

from benchmark.nn.vit import VisionTransformer
from benchmark.training.schedules import WarmupCosine

lr_batch = 256
optimizer = dict(type=AdamW, betas=(0.9, 0.999))
schedule = dict(type=WarmupCosine)

method = dict(
    views=dict(
        size=224,
        ratio=(3 / 4, 4 / 3),
        flip=0.5,
        intensity=(
            dict(brightness=0.4, contrast=0.4, jitter=0.8, blur=1.0, sigma=(0.1, 2.0)),
            dict(
                brightness=0.4, contrast=0.4, jitter=0.8, blur=0.1, sigma=(0.1, 2.0), solarize=0.2
            ),
        ),
    ),
    encoder=dict(
        type=VisionTransformer, img_size=224, patch_size=16, embed_dim=768, depth=12, num_heads=12
    ),
)

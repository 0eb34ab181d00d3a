"""The MAE recipe that all masked-image methods of the benchmark inherit (MAE; XA-SSL script).

AdamW (0.9, 0.95), weight decay 0.05 except on biases and 1-D parameters, lr 1.5e-4 per 256 samples,
40 epochs of linear warm-up, half a cosine to 0, 800 epochs, batch 2048, ViT-B/16 at 224².
"""

from mmengine.config import read_base

with read_base():
    from .pretraining import *

from torch.optim import AdamW

from benchmark.data.views.single import SingleView
from benchmark.nn.decoders.mae import MAEDecoder
from benchmark.nn.vit import VisionTransformer
from benchmark.training.schedules import WarmupCosine

epochs = 800
batch_size = 2048
micro_batch = 256  # on 8 devices, as published; fewer devices accumulate gradients
base_lr = 1.5e-4
lr_batch = 256
optimizer = dict(type=AdamW, betas=(0.9, 0.95), weight_decay=0.05)
schedule = dict(type=WarmupCosine, warmup_epochs=40)

frames = None
anatomy = "if present"

method = dict(
    views=dict(type=SingleView, size=224, scale=(0.2, 1.0), ratio=(3 / 4, 4 / 3), flip=0.5),
    encoder=dict(
        type=VisionTransformer, img_size=224, patch_size=16, embed_dim=768, depth=12, num_heads=12
    ),
    decoder=dict(type=MAEDecoder, width=512, depth=8, num_heads=16),
)

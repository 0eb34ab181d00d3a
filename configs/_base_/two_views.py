"""Two augmented views of a frame for a ResNet-50: what SimCLR, BYOL and Barlow Twins share.

LARS, 10 epochs of linear warm-up, half a cosine to 0, 200 epochs. Saturation, hue and conversion to
grey are skipped, as they do not change a grey frame. Learning rate and weight decay are each
method's own.
"""

from mmengine.config import read_base

with read_base():
    from .pretraining import *

from mmpretrain.models.backbones import ResNet

from benchmark.data.views.multi import TwoViews
from benchmark.nn.backbones.resnet import ResNetEncoder
from benchmark.training.schedules import WarmupCosine
from methods.mmpretrain_zoo import LARS, MMPretrain

epochs = 200
batch_size = 4096
micro_batch = None  # batch norms and negatives need the complete batch
lr_batch = 4096
optimizer = dict(type=LARS, momentum=0.9, weight_decay=1e-6)
schedule = dict(type=WarmupCosine, warmup_epochs=10)

method = dict(
    type=MMPretrain,
    names="resnet",
    views=dict(
        type=TwoViews,
        size=224,
        scale=(0.08, 1.0),
        intensity=[
            dict(brightness=0.4, contrast=0.4, jitter=0.8, blur=1.0),
            dict(brightness=0.4, contrast=0.4, jitter=0.8, blur=0.1, solarize=0.2),
        ],
    ),
    encoder=dict(type=ResNetEncoder, img_size=224),
    # The algorithm with its neck and head is the config's; all of them train this backbone.
    algorithm=dict(
        backbone=dict(
            type=ResNet,
            depth=50,
            stem_channels=64,
            base_channels=64,
            norm_cfg=dict(type="BN"),
            zero_init_residual=True,
        ),
    ),
)
scales = dict(
    tiny={
        "method.encoder.block": "basic",
        "method.encoder.layers": (2, 2, 2, 2),
        "method.encoder.channels": (8, 16, 32, 64),
        "method.encoder.img_size": 96,
        "method.algorithm.backbone.depth": 18,
        "method.algorithm.backbone.base_channels": 8,
        "method.algorithm.neck.in_channels": 64,
    },
    small={"method.encoder.img_size": 128},
)

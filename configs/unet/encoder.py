"""UNet from scratch (Ronneberger et al., MICCAI 2015), mmsegmentation's implementation."""

from mmseg.models.backbones import UNet
from mmseg.models.decode_heads import FCNHead

from benchmark.downstream.segmentation.model import BinaryCrossEntropy, BinaryDice

card = dict(
    title="UNet",
    family="from scratch",
    paper="Ronneberger et al., MICCAI 2015",
    pretraining="—",
)

model = dict(
    backbone=dict(type=UNet, in_channels=3, base_channels=64),
    neck=None,
    decode_head=dict(
        type=FCNHead,
        in_channels=64,
        in_index=4,
        channels=64,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0.0,
        num_classes=2,
        out_channels=1,
        threshold=0.5,
        loss_decode=[dict(type=BinaryCrossEntropy), dict(type=BinaryDice)],
    ),
)
scales = dict(
    tiny={
        "model.backbone.base_channels": 8,
        "model.decode_head.in_channels": 8,
        "model.decode_head.channels": 8,
    },
    small={
        "model.backbone.base_channels": 32,
        "model.decode_head.in_channels": 32,
        "model.decode_head.channels": 32,
    },
)

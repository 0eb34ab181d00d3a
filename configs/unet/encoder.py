"""UNet from scratch (Ronneberger et al., MICCAI 2015), mmsegmentation's implementation."""

from mmengine.config import read_base

with read_base():
    from .._base_.full_resolution import *

from mmseg.models.backbones import UNet

card = dict(
    title="UNet",
    family="from scratch",
    paper="Ronneberger et al., MICCAI 2015",
    paper_url="https://arxiv.org/abs/1505.04597",
    pretraining="—",
)

model.update(
    backbone=dict(type=UNet, in_channels=3, base_channels=64),
)
model["decode_head"].update(in_channels=64, channels=64)
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

"""VM-UNet from scratch (Ruan and Xiang, 2024): a UNet of visual state-space blocks."""

from mmengine.config import read_base

with read_base():
    from .._base_.full_resolution import *

from benchmark.downstream.segmentation.scratch.vm_unet import VMUNet

card = dict(
    title="VM-UNet",
    family="from scratch",
    paper="Ruan and Xiang, arXiv 2402.02491",
    paper_url="https://arxiv.org/abs/2402.02491",
    pretraining="—",
)

model.update(
    backbone=dict(
        type=VMUNet,
        dims=(96, 192, 384, 768),
        depths=(2, 2, 2, 2),
        decoder_depths=(2, 2, 2, 1),
        drop_path=0.2,  # the value of the authors' configs
    ),
)
model["decode_head"].update(in_channels=24, channels=24)
scales = dict(
    tiny={
        "model.backbone.dims": (32, 64, 128, 256),
        "model.backbone.depths": (1, 1, 1, 1),
        "model.backbone.decoder_depths": (1, 1, 1, 1),
        "model.backbone.state": 4,
        "model.backbone.drop_path": 0.0,
        "model.decode_head.in_channels": 8,
        "model.decode_head.channels": 8,
    },
    small={
        "model.backbone.dims": (48, 96, 192, 384),
        "model.backbone.drop_path": 0.1,
        "model.decode_head.in_channels": 12,
        "model.decode_head.channels": 12,
    },
)

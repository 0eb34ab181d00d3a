"""RWKV-UNet from scratch (Jiang et al., 2025), the base model."""

from mmengine.config import read_base

with read_base():
    from .._base_.full_resolution import *

from benchmark.downstream.segmentation.scratch.rwkv_unet import RWKVUNet

card = dict(
    title="RWKV-UNet",
    family="from scratch",
    paper="Jiang et al., arXiv 2501.08458",
    paper_url="https://arxiv.org/abs/2501.08458",
    pretraining="—",
)

model.update(
    backbone=dict(
        type=RWKVUNet,
        dims=(48, 72, 144, 240),
        depths=(3, 3, 6, 3),
        expansions=(2.0, 2.5, 4.0, 4.0),
        drop_path=0.05,
    ),
)
model["decode_head"].update(in_channels=24, channels=24)
scales = dict(
    tiny={
        "model.backbone.dims": (16, 24, 32, 48),
        "model.backbone.depths": (1, 1, 2, 2),
        "model.backbone.expansions": (2.0, 2.0, 2.0, 2.0),
        "model.backbone.stem": 8,
        "model.backbone.drop_path": 0.0,
        "model.decode_head.in_channels": 8,
        "model.decode_head.channels": 8,
    },
    # RWKV-UNet-T of the paper.
    small={
        "model.backbone.dims": (32, 48, 96, 160),
        "model.backbone.depths": (2, 2, 4, 2),
        "model.backbone.expansions": (2.0, 2.5, 3.0, 3.5),
    },
)

"""TransUNet from scratch (Chen et al., 2021): R50-ViT-B/16 with the cascaded up-sampler."""

from mmengine.config import read_base

with read_base():
    from .._base_.full_resolution import *

from benchmark.downstream.segmentation.scratch.transunet import TransUNet

card = dict(
    title="TransUNet",
    family="from scratch",
    paper="Chen et al., arXiv 2102.04306",
    paper_url="https://arxiv.org/abs/2102.04306",
    pretraining="—",
)

model.update(
    backbone=dict(
        type=TransUNet,
        img_size=224,
        resnet_width=64,
        resnet_units=(3, 4, 9),
        embed_dim=768,
        depth=12,
        num_heads=12,
        dropout=0.1,
        bridge=512,
        decoder=(256, 128, 64, 16),
    ),
)
model["decode_head"].update(in_channels=16, channels=16)
scales = dict(
    tiny={
        "model.backbone.img_size": 96,
        "model.backbone.resnet_width": 16,
        "model.backbone.resnet_units": (1, 1, 1),
        "model.backbone.norm_groups": 8,
        "model.backbone.embed_dim": 96,
        "model.backbone.depth": 2,
        "model.backbone.num_heads": 3,
        "model.backbone.bridge": 64,
        "model.backbone.decoder": (64, 32, 16, 8),
        "model.decode_head.in_channels": 8,
        "model.decode_head.channels": 8,
    },
    small={
        "model.backbone.img_size": 128,
        "model.backbone.resnet_width": 32,
        "model.backbone.resnet_units": (2, 3, 4),
        "model.backbone.norm_groups": 16,
        "model.backbone.embed_dim": 384,
        "model.backbone.depth": 6,
        "model.backbone.num_heads": 6,
        "model.backbone.bridge": 256,
        "model.backbone.decoder": (128, 64, 32, 16),
    },
)

"""DETR from scratch (Carion et al., ECCV 2020), mmdetection's.

ResNet-50, six encoder and six decoder layers, 100 queries. Nothing is pre-trained, so nothing is
frozen: all stages and their batch norms are trained, at one learning rate. The recipe is DETR's
own: AdamW 1e-4 for 16 images, weight decay 1e-4, gradients clipped at a norm of 0.1, the rate ×0.1
after two thirds of the run (mmdetection's `detr_r50_8xb2-150e_coco`); the length of the run is the
protocol's.
"""

from mmdet.models.backbones import ResNet
from mmdet.models.dense_heads import DETRHead
from mmdet.models.detectors import DETR
from mmdet.models.losses import CrossEntropyLoss, GIoULoss, L1Loss
from mmdet.models.necks import ChannelMapper
from mmdet.models.task_modules.assigners import (
    BBoxL1Cost,
    ClassificationCost,
    HungarianAssigner,
    IoUCost,
)
from torch.optim import AdamW

from benchmark.downstream.detection.schedule import MultiStep

card = dict(
    title="DETR",
    family="from scratch",
    paper="Carion et al., ECCV 2020",
    paper_url="https://arxiv.org/abs/2005.12872",
    pretraining="—",
)

task = "detection"
training = dict(
    base_lr=1e-4,
    lr_batch=16,
    optimizer=dict(type=AdamW, weight_decay=1e-4),
    clip_grad=dict(max_norm=0.1, norm_type=2),
    schedule=dict(type=MultiStep, milestones=(2 / 3,), warmup_steps=0),
)
model = dict(
    type=DETR,
    num_queries=100,
    backbone=dict(
        type=ResNet,
        depth=50,
        base_channels=64,
        out_indices=(3,),
        frozen_stages=-1,
        norm_cfg=dict(type="BN", requires_grad=True),
        norm_eval=False,
        zero_init_residual=True,
        style="pytorch",
    ),
    neck=dict(
        type=ChannelMapper,
        in_channels=[2048],
        kernel_size=1,
        out_channels=256,
        act_cfg=None,
        norm_cfg=None,
        num_outs=1,
    ),
    encoder=dict(
        num_layers=6,
        layer_cfg=dict(
            self_attn_cfg=dict(embed_dims=256, num_heads=8, dropout=0.1, batch_first=True),
            ffn_cfg=dict(embed_dims=256, feedforward_channels=2048, num_fcs=2, ffn_drop=0.1),
        ),
    ),
    decoder=dict(
        num_layers=6,
        return_intermediate=True,
        layer_cfg=dict(
            self_attn_cfg=dict(embed_dims=256, num_heads=8, dropout=0.1, batch_first=True),
            cross_attn_cfg=dict(embed_dims=256, num_heads=8, dropout=0.1, batch_first=True),
            ffn_cfg=dict(embed_dims=256, feedforward_channels=2048, num_fcs=2, ffn_drop=0.1),
        ),
    ),
    positional_encoding=dict(num_feats=128, normalize=True),
    bbox_head=dict(
        type=DETRHead,
        num_classes=1,  # follows the classes of the task
        embed_dims=256,
        loss_cls=dict(
            type=CrossEntropyLoss,
            bg_cls_weight=0.1,
            use_sigmoid=False,
            loss_weight=1.0,
            class_weight=1.0,
        ),
        loss_bbox=dict(type=L1Loss, loss_weight=5.0),
        loss_iou=dict(type=GIoULoss, loss_weight=2.0),
    ),
    rpn_head=None,
    roi_head=None,
    train_cfg=dict(
        assigner=dict(
            type=HungarianAssigner,
            match_costs=[
                dict(type=ClassificationCost, weight=1.0),
                dict(type=BBoxL1Cost, weight=5.0, box_format="xywh"),
                dict(type=IoUCost, iou_mode="giou", weight=2.0),
            ],
        ),
    ),
    test_cfg=dict(max_per_img=100),
)
scales = dict(
    tiny={
        "training.base_lr": 1e-3,
        "training.lr_batch": 8,
        "model.num_queries": 20,
        "model.backbone.depth": 18,
        "model.backbone.base_channels": 8,
        "model.neck.in_channels": [64],
        "model.neck.out_channels": 32,
        "model.encoder.num_layers": 2,
        "model.encoder.layer_cfg.self_attn_cfg.embed_dims": 32,
        "model.encoder.layer_cfg.self_attn_cfg.num_heads": 4,
        "model.encoder.layer_cfg.ffn_cfg.embed_dims": 32,
        "model.encoder.layer_cfg.ffn_cfg.feedforward_channels": 64,
        "model.decoder.num_layers": 2,
        "model.decoder.layer_cfg.self_attn_cfg.embed_dims": 32,
        "model.decoder.layer_cfg.self_attn_cfg.num_heads": 4,
        "model.decoder.layer_cfg.cross_attn_cfg.embed_dims": 32,
        "model.decoder.layer_cfg.cross_attn_cfg.num_heads": 4,
        "model.decoder.layer_cfg.ffn_cfg.embed_dims": 32,
        "model.decoder.layer_cfg.ffn_cfg.feedforward_channels": 64,
        "model.positional_encoding.num_feats": 16,
        "model.bbox_head.embed_dims": 32,
        "model.test_cfg.max_per_img": 20,
    },
    small={
        "training.base_lr": 2e-4,
        "model.num_queries": 50,
        "model.backbone.depth": 18,
        "model.backbone.base_channels": 32,
        "model.neck.in_channels": [256],
        "model.neck.out_channels": 128,
        "model.encoder.num_layers": 3,
        "model.encoder.layer_cfg.self_attn_cfg.embed_dims": 128,
        "model.encoder.layer_cfg.self_attn_cfg.num_heads": 8,
        "model.encoder.layer_cfg.ffn_cfg.embed_dims": 128,
        "model.encoder.layer_cfg.ffn_cfg.feedforward_channels": 512,
        "model.decoder.num_layers": 3,
        "model.decoder.layer_cfg.self_attn_cfg.embed_dims": 128,
        "model.decoder.layer_cfg.self_attn_cfg.num_heads": 8,
        "model.decoder.layer_cfg.cross_attn_cfg.embed_dims": 128,
        "model.decoder.layer_cfg.cross_attn_cfg.num_heads": 8,
        "model.decoder.layer_cfg.ffn_cfg.embed_dims": 128,
        "model.decoder.layer_cfg.ffn_cfg.feedforward_channels": 512,
        "model.positional_encoding.num_feats": 64,
        "model.bbox_head.embed_dims": 128,
        "model.test_cfg.max_per_img": 50,
    },
)

"""Faster R-CNN from scratch (Ren et al., NeurIPS 2015; FPN, Lin et al., CVPR 2017), mmdetection's.

ResNet-50 and FPN, one convolution in the region proposal network, two linear layers in the box
head. Nothing is pre-trained, so nothing is frozen: all stages and their batch norms are trained.
"""

from mmcv.ops import RoIAlign
from mmdet.models.backbones import ResNet
from mmdet.models.dense_heads import RPNHead
from mmdet.models.losses import CrossEntropyLoss, L1Loss
from mmdet.models.necks import FPN
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from mmdet.models.task_modules.prior_generators import AnchorGenerator

card = dict(
    title="Faster R-CNN",
    family="from scratch",
    paper="Ren et al., NeurIPS 2015",
    paper_url="https://arxiv.org/abs/1506.01497",
    pretraining="—",
)

task = "detection"
model = dict(
    backbone=dict(
        type=ResNet,
        depth=50,
        base_channels=64,
        frozen_stages=-1,
        norm_cfg=dict(type="BN", requires_grad=True),
        norm_eval=False,
        zero_init_residual=True,
        style="pytorch",
    ),
    neck=dict(type=FPN, in_channels=[256, 512, 1024, 2048], out_channels=256, num_outs=5),
    rpn_head=dict(
        type=RPNHead,
        in_channels=256,
        feat_channels=256,
        anchor_generator=dict(
            type=AnchorGenerator,
            base_sizes=[32, 64, 128, 256, 512],
            scales=[1.0],
            ratios=[0.5, 1.0, 2.0],
            strides=[4, 8, 16, 32, 64],
        ),
        bbox_coder=dict(type=DeltaXYWHBBoxCoder, target_stds=(1.0, 1.0, 1.0, 1.0)),
        loss_cls=dict(type=CrossEntropyLoss, use_sigmoid=True),
        loss_bbox=dict(type=L1Loss),
    ),
    roi_head=dict(
        type=StandardRoIHead,
        bbox_roi_extractor=dict(
            type=SingleRoIExtractor,
            roi_layer=dict(type=RoIAlign, output_size=7, sampling_ratio=0, use_torchvision=True),
            out_channels=256,
            featmap_strides=[4, 8, 16, 32],
            finest_scale=56,
        ),
        bbox_head=dict(
            type=Shared2FCBBoxHead,
            in_channels=256,
            fc_out_channels=1024,
            roi_feat_size=7,
            num_classes=1,
            bbox_coder=dict(type=DeltaXYWHBBoxCoder, target_stds=(0.1, 0.1, 0.2, 0.2)),
            reg_class_agnostic=False,
            loss_cls=dict(type=CrossEntropyLoss, use_sigmoid=False),
            loss_bbox=dict(type=L1Loss),
        ),
    ),
)
scales = dict(
    tiny={
        "model.backbone.depth": 18,
        "model.backbone.base_channels": 8,
        "model.neck.in_channels": [8, 16, 32, 64],
        "model.neck.out_channels": 32,
        "model.rpn_head.in_channels": 32,
        "model.rpn_head.feat_channels": 32,
        "model.rpn_head.anchor_generator.base_sizes": [8, 16, 32, 64, 128],
        "model.roi_head.bbox_roi_extractor.out_channels": 32,
        "model.roi_head.bbox_roi_extractor.finest_scale": 16,
        "model.roi_head.bbox_head.in_channels": 32,
        "model.roi_head.bbox_head.fc_out_channels": 64,
    },
    small={
        "model.backbone.depth": 18,
        "model.backbone.base_channels": 32,
        "model.neck.in_channels": [32, 64, 128, 256],
        "model.neck.out_channels": 128,
        "model.rpn_head.in_channels": 128,
        "model.rpn_head.feat_channels": 128,
        "model.rpn_head.anchor_generator.base_sizes": [16, 32, 64, 128, 256],
        "model.roi_head.bbox_roi_extractor.out_channels": 128,
        "model.roi_head.bbox_roi_extractor.finest_scale": 28,
        "model.roi_head.bbox_head.in_channels": 128,
        "model.roi_head.bbox_head.fc_out_channels": 512,
    },
)

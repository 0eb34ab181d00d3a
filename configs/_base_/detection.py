"""Fine-tuning for detection, protocol `journal` (`docs/protocol.md`).

Faster R-CNN on a plain ViT with the settings of ViTDet (Li et al., ECCV 2022; configuration of
its ViT-B in detectron2), boxes only, at 512²: windows of 14×14 patches in all blocks but four,
relative positions, a simple feature pyramid, large-scale jitter, AdamW with a layer decay of 0.7.
ViTDet trains at 1024² with masks; 512², 100 epochs and the data are those of the papers on
angiograms. The learning rate scales linearly with batches other than 64. The last epoch is
scored; there is no selection on the test set.
"""

from mmengine.config import read_base

with read_base():
    from .finetuning import *

from mmcv.ops import RoIAlign
from mmcv.transforms import LoadImageFromFile, RandomResize
from mmdet.datasets.transforms import (
    FilterAnnotations,
    LoadAnnotations,
    PackDetInputs,
    RandomCrop,
    RandomFlip,
    Resize,
)
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.models.dense_heads import RPNHead
from mmdet.models.detectors import FasterRCNN
from mmdet.models.losses import CrossEntropyLoss, L1Loss
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.models.roi_heads.bbox_heads import Shared4Conv1FCBBoxHead
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.models.task_modules.assigners import MaxIoUAssigner
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from mmdet.models.task_modules.prior_generators import AnchorGenerator
from mmdet.models.task_modules.samplers import RandomSampler
from timm.layers import LayerNorm2d
from torch.optim import AdamW

from benchmark.downstream.detection.pyramid import SimpleFeaturePyramid
from benchmark.downstream.detection.schedule import MultiStep
from benchmark.downstream.detection.vitdet import ViTDet

task = "detection"
metrics = ("map50", "map75", "map")
protocol = "journal"
epochs = 100
batch_size = 64
base_lr = 1e-4
lr_batch = 64
layer_decay = 0.7
optimizer = dict(type=AdamW, betas=(0.9, 0.999), weight_decay=0.1)
schedule = dict(type=MultiStep, milestones=(8 / 9, 26 / 27), warmup_steps=250, warmup_factor=0.001)
num_workers = 8

model = dict(
    type=FasterRCNN,
    data_preprocessor=dict(
        type=DetDataPreprocessor,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
    # The method brings the encoder; its folder is filled in here.
    backbone=dict(type=ViTDet, window_size=14, global_blocks=4, drop_path=0.1),
    neck=dict(type=SimpleFeaturePyramid, out_channels=256, factors=(4.0, 2.0, 1.0, 0.5)),
    rpn_head=dict(
        type=RPNHead,
        in_channels=256,
        feat_channels=256,
        num_convs=2,
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
            type=Shared4Conv1FCBBoxHead,
            in_channels=256,
            conv_out_channels=256,
            fc_out_channels=1024,
            norm_cfg=dict(type=LayerNorm2d, eps=1e-6),
            roi_feat_size=7,
            num_classes=1,  # follows the classes of the task
            bbox_coder=dict(type=DeltaXYWHBBoxCoder, target_stds=(0.1, 0.1, 0.2, 0.2)),
            reg_class_agnostic=False,
            loss_cls=dict(type=CrossEntropyLoss, use_sigmoid=False),
            loss_bbox=dict(type=L1Loss),
        ),
    ),
    train_cfg=dict(
        rpn=dict(
            # As in detectron2 every box keeps its best anchors, however small the overlap; the
            # boxes of stenoses are often smaller than the smallest anchor.
            assigner=dict(type=MaxIoUAssigner, pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=1e-3),
            sampler=dict(type=RandomSampler, num=256, pos_fraction=0.5, add_gt_as_proposals=False),
            allowed_border=-1,
            pos_weight=-1,
        ),
        rpn_proposal=dict(
            nms_pre=2000, max_per_img=1000, nms=dict(type="nms", iou_threshold=0.7), min_bbox_size=0
        ),
        rcnn=dict(
            assigner=dict(
                type=MaxIoUAssigner,
                pos_iou_thr=0.5,
                neg_iou_thr=0.5,
                min_pos_iou=0.5,
                match_low_quality=False,
            ),
            sampler=dict(type=RandomSampler, num=512, pos_fraction=0.25, add_gt_as_proposals=True),
            pos_weight=-1,
        ),
    ),
    test_cfg=dict(
        rpn=dict(
            nms_pre=1000, max_per_img=1000, nms=dict(type="nms", iou_threshold=0.7), min_bbox_size=0
        ),
        rcnn=dict(score_thr=0.05, nms=dict(type="nms", iou_threshold=0.5), max_per_img=100),
    ),
)

# Large-scale jitter (Ghiasi et al., CVPR 2021): the image is resized to 0.1 to 2 times the target
# size and cropped to that size. The model pads smaller ones. A frame that loses all of its boxes is
# kept, as background.
train_pipeline = [
    dict(type=LoadImageFromFile, imdecode_backend="pillow"),
    dict(type=LoadAnnotations, with_bbox=True),
    dict(type=RandomFlip, prob=0.5),
    dict(
        type=RandomResize,
        scale=(512, 512),
        ratio_range=(0.1, 2.0),
        resize_type=Resize,
        keep_ratio=True,
        backend="pillow",
    ),
    dict(type=RandomCrop, crop_type="absolute", crop_size=(512, 512), allow_negative_crop=True),
    dict(type=FilterAnnotations, min_gt_bbox_wh=(1e-2, 1e-2), keep_empty=False),
    dict(type=PackDetInputs),
]
test_pipeline = [
    dict(type=LoadImageFromFile, imdecode_backend="pillow"),
    dict(type=Resize, scale=(512, 512), keep_ratio=True, backend="pillow"),
    dict(type=PackDetInputs),
]

scales = dict(
    tiny={
        "base_lr": 2e-3,
        "lr_batch": 8,
        "schedule.warmup_steps": 20,
        "model.backbone.window_size": 6,
        "model.backbone.global_blocks": 2,
        # Patches of 8²: strides 4, 8, 16 and 32 as elsewhere, 64 would be most of the image.
        "model.neck.factors": (2.0, 1.0, 0.5),
        "model.neck.out_channels": 32,
        "model.rpn_head.in_channels": 32,
        "model.rpn_head.feat_channels": 32,
        "model.rpn_head.anchor_generator.base_sizes": [8, 16, 32, 64],
        "model.roi_head.bbox_roi_extractor.out_channels": 32,
        "model.roi_head.bbox_roi_extractor.finest_scale": 16,
        "model.roi_head.bbox_head.in_channels": 32,
        "model.roi_head.bbox_head.conv_out_channels": 32,
        "model.roi_head.bbox_head.fc_out_channels": 64,
        "model.train_cfg.rpn_proposal.nms_pre": 200,
        "model.train_cfg.rpn_proposal.max_per_img": 100,
        "model.train_cfg.rcnn.sampler.num": 64,
        "model.test_cfg.rpn.nms_pre": 200,
        "model.test_cfg.rpn.max_per_img": 100,
        "RandomResize.scale": (96, 96),
        "RandomResize.ratio_range": (0.8, 1.25),
        "RandomCrop.crop_size": (96, 96),
        "Resize.scale": (96, 96),
    },
    # What begins to find stenoses within 1,500 steps, in close-ups, whose boxes have 20 to 30 of 96
    # pixels: fewer negative samples for each of the few positive ones than elsewhere.
    mini={
        "epochs": 10,
        "base_lr": 1e-3,
        "model.rpn_head.anchor_generator.base_sizes": [16, 32, 64, 128],
        "model.train_cfg.rpn.sampler.num": 32,
        "model.train_cfg.rcnn.sampler.num": 32,
    },
    small={
        "base_lr": 2e-4,
        "batch_size": 16,
        "lr_batch": 16,
        "schedule.warmup_steps": 50,
        "model.backbone.window_size": 8,
        "model.backbone.global_blocks": 2,
        "model.neck.out_channels": 128,
        "model.rpn_head.in_channels": 128,
        "model.rpn_head.feat_channels": 128,
        "model.rpn_head.anchor_generator.base_sizes": [16, 32, 64, 128, 256],
        "model.roi_head.bbox_roi_extractor.out_channels": 128,
        "model.roi_head.bbox_roi_extractor.finest_scale": 28,
        "model.roi_head.bbox_head.in_channels": 128,
        "model.roi_head.bbox_head.conv_out_channels": 128,
        "model.roi_head.bbox_head.fc_out_channels": 512,
        "RandomResize.scale": (256, 256),
        "RandomResize.ratio_range": (0.5, 2.0),
        "RandomCrop.crop_size": (256, 256),
        "Resize.scale": (256, 256),
    },
)

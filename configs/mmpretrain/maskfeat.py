"""MaskFeat (Wei et al., CVPR 2022) as in mmpretrain: masked patches, histograms of gradients.

    tools/dist_train.sh configs/mmpretrain/maskfeat.py 8
    tools/finetune.py --encoder work_dirs/mmpretrain/maskfeat --dataset arcade_v

Source: mmpretrain's `maskfeat_vit-base-p16_8xb256-amp-coslr-300e_in1k`: crops of at least half of
the frame, 40 % masked in blocks, AdamW (0.9, 0.999) at 2e-4 per 256 samples, clipping at 0.02.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.mim import *

from mmpretrain.models.heads import MIMHead
from mmpretrain.models.losses import PixelReconstructionLoss
from mmpretrain.models.necks import LinearNeck
from mmpretrain.models.selfsup import MaskFeat
from mmpretrain.models.selfsup.maskfeat import HOGGenerator, MaskFeatViT

from benchmark.nn.masking.blocks import BlockMasking
from methods.mmpretrain_zoo import MMPretrain

card = dict(
    title="MaskFeat (mmpretrain)",
    family="masked image modelling",
    paper="Wei et al., CVPR 2022",
    pretraining="XA-170K",
)

epochs = 300
micro_batch = None
base_lr = 2e-4
optimizer.update(betas=(0.9, 0.999))
schedule.update(warmup_epochs=30)
clip_grad = dict(max_norm=0.02)

del method["decoder"]
method["views"].update(scale=(0.5, 1.0))
method.update(
    type=MMPretrain,
    names="vit",
    algorithm=dict(
        type=MaskFeat,
        backbone=dict(type=MaskFeatViT, arch="b", img_size=224, patch_size=16),
        neck=dict(
            type=LinearNeck,
            in_channels=768,
            out_channels=108,
            norm_cfg=None,
            init_cfg=dict(type="TruncNormal", layer="Linear", std=0.02, bias=0),
        ),
        head=dict(type=MIMHead, loss=dict(type=PixelReconstructionLoss, criterion="L2")),
        target_generator=dict(type=HOGGenerator, nbins=9, pool=8, gaussian_window=16),
    ),
    # The backbone is exported as the encoder of the base config.
    masking=dict(type=BlockMasking, ratio=0.4, smallest=15),
)
# The library's targets need a grid of 14×14 patches at any scale.
scales = dict(
    tiny={
        "method.views.size": 112,
        "method.encoder.img_size": 112,
        "method.algorithm.backbone.arch": dict(
            embed_dims=96, num_layers=4, num_heads=3, feedforward_channels=384
        ),
        "method.algorithm.backbone.img_size": 112,
        "method.algorithm.backbone.patch_size": 8,
        "method.algorithm.neck.in_channels": 96,
        # One cell of 8² pixels to a patch of 8²: 9 bins of 3 channels.
        "method.algorithm.neck.out_channels": 27,
    },
    small={
        "method.views.size": 224,
        "method.encoder.img_size": 224,
        "method.algorithm.backbone.arch": dict(
            embed_dims=384, num_layers=6, num_heads=6, feedforward_channels=1536
        ),
        "method.algorithm.neck.in_channels": 384,
    },
)

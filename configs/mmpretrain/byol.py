"""BYOL (Grill et al., NeurIPS 2020) as in mmpretrain: predict a moving average, ResNet-50.

    tools/dist_train.sh configs/mmpretrain/byol.py 8
    tools/finetune.py --encoder work_dirs/mmpretrain/byol --dataset arcade_v

Source: mmpretrain's `byol_resnet50_16xb256-coslr-200e_in1k`: LARS at 4.8 for 4,096 samples, the
average's momentum from 0.99 to 1.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.two_views import *

from mmpretrain.models.heads import LatentPredictHead
from mmpretrain.models.losses import CosineSimilarityLoss
from mmpretrain.models.necks import NonLinearNeck
from mmpretrain.models.selfsup import BYOL

card = dict(
    title="BYOL (mmpretrain)",
    family="contrastive learning",
    paper="Grill et al., NeurIPS 2020",
    pretraining="XA-170K",
)

base_lr = 4.8
method["algorithm"].update(
    type=BYOL,
    base_momentum=0.01,
    neck=dict(
        type=NonLinearNeck,
        in_channels=2048,
        hid_channels=4096,
        out_channels=256,
        num_layers=2,
        with_bias=True,
        with_last_bn=False,
        with_avg_pool=True,
        norm_cfg=dict(type="BN1d"),
    ),
    head=dict(
        type=LatentPredictHead,
        predictor=dict(
            type=NonLinearNeck,
            in_channels=256,
            hid_channels=4096,
            out_channels=256,
            num_layers=2,
            with_bias=True,
            with_last_bn=False,
            with_avg_pool=False,
            norm_cfg=dict(type="BN1d"),
        ),
        loss=dict(type=CosineSimilarityLoss),
    ),
)
method["algorithm"]["backbone"].update(zero_init_residual=False)
scales["tiny"].update(
    {
        "method.algorithm.neck.hid_channels": 64,
        "method.algorithm.neck.out_channels": 32,
        "method.algorithm.head.predictor.in_channels": 32,
        "method.algorithm.head.predictor.hid_channels": 64,
        "method.algorithm.head.predictor.out_channels": 32,
    }
)

"""Barlow Twins (Zbontar et al., ICML 2021) as in mmpretrain: decorrelate features, ResNet-50.

    tools/dist_train.sh configs/mmpretrain/barlow_twins.py 8
    tools/finetune.py --encoder work_dirs/mmpretrain/barlow_twins --dataset arcade_v

Source: mmpretrain's `barlowtwins_resnet50_8xb256-coslr-300e_in1k`: LARS at 1.6 for 2,048 samples,
300 epochs. Norms and biases learn at the rate of the weights, not at 0.024 of it.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.two_views import *

from mmpretrain.models.heads import LatentCrossCorrelationHead
from mmpretrain.models.losses import CrossCorrelationLoss
from mmpretrain.models.necks import NonLinearNeck
from mmpretrain.models.selfsup import BarlowTwins

card = dict(
    title="Barlow Twins (mmpretrain)",
    family="contrastive learning",
    paper="Zbontar et al., ICML 2021",
    pretraining="XA-170K",
)

epochs = 300
batch_size = 2048
base_lr = 1.6
lr_batch = 2048
method["algorithm"].update(
    type=BarlowTwins,
    neck=dict(
        type=NonLinearNeck,
        in_channels=2048,
        hid_channels=8192,
        out_channels=8192,
        num_layers=3,
        with_last_bn=False,
        with_last_bn_affine=False,
        with_avg_pool=True,
        norm_cfg=dict(type="BN1d"),
        init_cfg=dict(type="Kaiming", distribution="uniform", layer=["Linear"]),
    ),
    head=dict(
        type=LatentCrossCorrelationHead,
        in_channels=8192,
        loss=dict(type=CrossCorrelationLoss),
    ),
)
scales["tiny"].update(
    {
        "method.algorithm.neck.hid_channels": 64,
        "method.algorithm.neck.out_channels": 64,
        "method.algorithm.head.in_channels": 64,
    }
)

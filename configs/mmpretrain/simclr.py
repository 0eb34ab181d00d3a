"""SimCLR (Chen et al., ICML 2020) as in mmpretrain: contrast between two views, ResNet-50.

    tools/dist_train.sh configs/mmpretrain/simclr.py 8
    tools/finetune.py --encoder work_dirs/mmpretrain/simclr --dataset arcade_v

Source: mmpretrain's `simclr_resnet50_16xb256-coslr-200e_in1k`: LARS at 4.8 for 4,096 samples,
temperature 0.1; blur of half of the views, no solarisation.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.two_views import *

from mmpretrain.models.heads import ContrastiveHead
from mmpretrain.models.losses import CrossEntropyLoss
from mmpretrain.models.necks import NonLinearNeck
from mmpretrain.models.selfsup import SimCLR

card = dict(
    title="SimCLR (mmpretrain)",
    family="contrastive learning",
    paper="Chen et al., ICML 2020",
    pretraining="XA-170K",
)

base_lr = 4.8
method["views"].update(
    intensity=[dict(brightness=0.8, contrast=0.8, jitter=0.8, blur=0.5) for _ in range(2)]
)
method["algorithm"].update(
    type=SimCLR,
    neck=dict(
        type=NonLinearNeck,
        in_channels=2048,
        hid_channels=2048,
        out_channels=128,
        num_layers=2,
        with_avg_pool=True,
        norm_cfg=dict(type="BN1d"),
    ),
    head=dict(type=ContrastiveHead, loss=dict(type=CrossEntropyLoss), temperature=0.1),
)
scales["tiny"].update(
    {
        "method.algorithm.neck.hid_channels": 64,
        "method.algorithm.neck.out_channels": 32,
    }
)

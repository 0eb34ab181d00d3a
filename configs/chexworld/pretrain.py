"""CheXWorld: Image World Modeling for Radiograph Representation Learning (Yue et al., CVPR 2025).

    tools/dist_train.sh configs/chexworld/pretrain.py 8

Source: LeapLabTHU/CheXWorld @ 0901027, the published command: batch 2048, lr (absolute) up to 2e-4
over 50 epochs (its 40, stretched by 1.25), then towards 1e-6 along a cosine 1.25 times as long as
the run of 300 epochs, like the momentum's from 0.996 to 1; weight decay 0.05, clip at norm 1.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.mim import *

from benchmark.data.views.world import WorldViews
from benchmark.nn.decoders.feature_predictors import WorldPredictor
from benchmark.nn.ema import CosineMomentum
from benchmark.nn.masking.jepa import MergedBlockMasking
from benchmark.training.schedules import StretchedWarmupCosine
from methods.chexworld import CheXWorld

card = dict(
    title="CheXWorld",
    family="joint-embedding prediction",
    paper="Yue et al., CVPR 2025",
    paper_url="https://arxiv.org/abs/2504.13820",
    code="https://github.com/LeapLabTHU/CheXWorld",
    pretraining="XA-170K",
)

epochs = 300
micro_batch = 128
base_lr = 2e-4
lr_batch = None
optimizer.update(betas=(0.9, 0.999), weight_decay=0.05)
schedule = dict(type=StretchedWarmupCosine, warmup_epochs=50, min_factor=1e-6 / 2e-4, stretch=1.25)
clip_grad = dict(max_norm=1.0)
anatomy = False

method.pop("decoder")
method.views.update(
    type=WorldViews,
    scale=(0.3, 1.0),
    jitter=dict(brightness=0.4, contrast=0.4, jitter=0.8),
    change=dict(brightness=0.4, contrast=0.4, gamma=2.0, jitter=0.8, blur=0.2, sigma=(0.1, 2.0)),
)
method.encoder.update(class_token=False)
method.update(
    type=CheXWorld,
    predictor=dict(type=WorldPredictor, width=384, depth=6),
    masking=dict(
        type=MergedBlockMasking,
        context_scale=(0.75, 1.0),
        target_scale=(0.15, 0.2),
        target_aspect=(0.75, 1.5),
        targets=4,
        min_keep=10,
    ),
    momentum=dict(type=CosineMomentum, start=0.996, end=1.0, stretch=1.25),
    distance="squared",
    intra_weight=0.5,
    extra_weight=0.5,
)
# With fewer steps the EMA has to move faster.
scales = dict(small={"method.momentum.start": 0.99}, tiny={"method.momentum.start": 0.9})

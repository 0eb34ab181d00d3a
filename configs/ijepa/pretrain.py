"""I-JEPA: Joint-Embedding Predictive Architecture (Assran et al., CVPR 2023).

    tools/dist_train.sh configs/ijepa/pretrain.py 8

Source: facebookresearch/ijepa @ 52c1ae9, which has no config for ViT-B/16; the paper's appendix:
predictor of 6 blocks of 384, 600 epochs, batch 2048, lr (absolute) 1e-4 → 1e-3 over 15 epochs and
down to 1e-6, momentum 0.996 → 1. Weight decay 0.04 → 0.4 along half a cosine, as in the code.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.mim import *

from benchmark.nn.decoders.feature_predictors import JEPAPredictor
from benchmark.nn.ema import LinearMomentum
from benchmark.nn.masking.jepa import MultiblockMasking
from benchmark.training.schedules import CosineRamp, StretchedWarmupCosine
from methods.ijepa import IJEPA

card = dict(
    title="I-JEPA",
    family="joint-embedding prediction",
    paper="Assran et al., CVPR 2023",
    paper_url="https://arxiv.org/abs/2301.08243",
    code="https://github.com/facebookresearch/ijepa",
    pretraining="XA-170K",
)

epochs = 600
micro_batch = 128
base_lr = 1e-3
lr_batch = None
optimizer.update(betas=(0.9, 0.999), weight_decay=0.04)
decay_schedule = dict(type=CosineRamp, end=0.4 / 0.04)
schedule = dict(
    type=StretchedWarmupCosine,
    warmup_epochs=15,
    start_factor=1e-4 / 1e-3,
    min_factor=1e-6 / 1e-3,
    stretch=1.0,
)
anatomy = False

method.pop("decoder")
method.views.update(scale=(0.3, 1.0), flip=0.0)
method.encoder.update(class_token=False)
method.update(
    type=IJEPA,
    predictor=dict(type=JEPAPredictor, width=384, depth=6),
    masking=dict(
        type=MultiblockMasking,
        context_scale=(0.85, 1.0),
        target_scale=(0.15, 0.2),
        target_aspect=(0.75, 1.5),
        targets=4,
        min_keep=10,
    ),
    momentum=dict(type=LinearMomentum, start=0.996, end=1.0),
    distance="smooth_l1",
)
# With fewer steps the EMA has to move faster.
scales = dict(small={"method.momentum.start": 0.99}, tiny={"method.momentum.start": 0.9})

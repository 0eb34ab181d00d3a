"""MoCo v3: An Empirical Study of Training Self-Supervised Vision Transformers (Chen et al., 2021).

    tools/dist_train.sh configs/moco_v3/pretrain.py 8

Source: facebookresearch/moco-v3 @ c349e6e (ViT-B): batch 4096, lr 1.5e-4 per 256 samples, weight
decay 0.1 on all parameters, 300 epochs, crops of 8–100 %, T = 0.2. The batch cannot be split:
it has to fit on the devices at once, 4096 / processes on each.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.contrastive import *

from benchmark.data.views.multi import TwoViews
from benchmark.nn.ema import CosineMomentum
from benchmark.nn.projection import ProjectionMLP
from methods.moco_v3 import MoCoV3

card = dict(
    title="MoCo v3",
    family="contrastive learning",
    paper="Chen et al., ICCV 2021",
    paper_url="https://arxiv.org/abs/2104.02057",
    code="https://github.com/facebookresearch/moco-v3",
    pretraining="XA-170K",
)

epochs = 300
batch_size = 4096
micro_batch = None
base_lr = 1.5e-4
optimizer.update(weight_decay=0.1)
decay_biases = True
schedule.update(warmup_epochs=40)

method.views.update(type=TwoViews, scale=(0.08, 1.0))
method.update(
    type=MoCoV3,
    projector=dict(type=ProjectionMLP, layers=3, hidden=4096, out_dim=256),
    predictor=dict(type=ProjectionMLP, layers=2, hidden=4096),
    momentum=dict(type=CosineMomentum, start=0.99, end=1.0),
    temperature=0.2,
    freeze_patch_embed=True,
)
# With fewer steps the EMA has to move faster.
scales = dict(
    small={"method.projector.hidden": 1024, "method.predictor.hidden": 1024},
    tiny={
        "method.projector.hidden": 128,
        "method.projector.out_dim": 64,
        "method.predictor.hidden": 128,
        "method.momentum.start": 0.9,
    },
)

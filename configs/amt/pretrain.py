"""AMT: Good Helper is Around You, attention-driven masked image modelling (Liu et al., AAAI 2023).

    tools/dist_train.sh configs/amt/pretrain.py 8

Source: guijiejie/AMT @ dfe380e, mae-AMT: 45 % of the patches masked, 40 % dropped, random masks of
75 % until epoch 40, attention maps recomputed every 40 epochs, pixels without normalisation, 400
epochs, batch 4096.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.mim import *

from benchmark.data.views.attention import AttentionView
from benchmark.nn.masking.attention import AttentionGuidedMasking
from benchmark.nn.objectives.pixels import PixelReconstruction
from methods.amt import AMT

card = dict(
    title="AMT",
    family="masked image modelling",
    paper="Liu et al., AAAI 2023",
    paper_url="https://arxiv.org/abs/2211.15362",
    code="https://github.com/guijiejie/AMT",
    pretraining="XA-170K",
)

epochs = 400
batch_size = 4096
method.update(
    type=AMT,
    masking=dict(
        type=AttentionGuidedMasking,
        ratio=0.45,
        throw=0.40,
        warmup_ratio=0.75,
        warmup_epochs=40,
        interval=40,
    ),
    objective=dict(type=PixelReconstruction, normalise=False),
)
method["views"].update(type=AttentionView, official_code=False)
scales = dict(
    small={"method.masking.warmup_epochs": 10, "method.masking.interval": 10},
    tiny={"method.masking.warmup_epochs": 4, "method.masking.interval": 4},
)

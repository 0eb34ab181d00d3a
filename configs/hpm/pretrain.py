"""HPM: Hard Patches Mining for masked image modelling (Wang et al., CVPR 2023).

    tools/dist_train.sh configs/hpm/pretrain.py 8

Source: Haochen-Wang409/HPM @ c15ae90; mask ratio 0.75, of which up to a half are the patches of
highest predicted loss, targets not normalised, gradients clipped at norm 5.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.mim import *

from benchmark.nn.decoders.loss_prediction import LossPredictingDecoder, RelativeLossPrediction
from benchmark.nn.ema import EpochLinearMomentum
from benchmark.nn.masking.loss import LossGuidedMasking
from benchmark.nn.objectives.pixels import PixelReconstruction
from methods.hpm import HPM

card = dict(
    title="HPM",
    family="masked image modelling",
    paper="Wang et al., CVPR 2023",
    paper_url="https://arxiv.org/abs/2304.05919",
    code="https://github.com/Haochen-Wang409/HPM",
    pretraining="XA-170K",
)

clip_grad = dict(max_norm=5.0)
method.decoder.update(type=LossPredictingDecoder)
method.update(
    type=HPM,
    masking=dict(type=LossGuidedMasking, ratio=0.75, hard_start=0.0, hard_end=0.5),
    objective=dict(type=PixelReconstruction, normalise=False),
    prediction=dict(type=RelativeLossPrediction),
    momentum=dict(type=EpochLinearMomentum, start=0.999, end=0.9999, epochs=100),
)

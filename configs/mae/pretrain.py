"""MAE: Masked Autoencoders Are Scalable Vision Learners (He et al., CVPR 2022).

    tools/dist_train.sh configs/mae/pretrain.py 8

Source: facebookresearch/mae @ efb2a80; mask ratio 0.75, per-patch normalised targets.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.mim import *

from benchmark.nn.masking.random import RandomMasking
from benchmark.nn.objectives.pixels import PixelReconstruction
from methods.mae import MAE

card = dict(
    title="MAE",
    family="masked image modelling",
    paper="He et al., CVPR 2022",
    paper_url="https://arxiv.org/abs/2111.06377",
    code="https://github.com/facebookresearch/mae",
    pretraining="XA-170K",
)

method.update(
    type=MAE,
    masking=dict(type=RandomMasking, ratio=0.75),
    objective=dict(type=PixelReconstruction, normalise=True),
)

"""Models Genesis, in two dimensions (Zhou et al., MICCAI 2019; MedIA 2021).

    tools/dist_train.sh configs/models_genesis/pretrain.py 8

Source: MrGiovanni/ModelsGenesis @ 12f7feb (pytorch/config.py, pytorch/utils.py): further flips 0.4,
local shuffling 0.5, non-linear curve 0.9, painting 0.9, of which in-painting 0.2. Deviations: 700
windows instead of the 10 000 of a cube, which cover the view as often; and, since SGD at learning
rate 1 does not train a ViT, optimiser, schedule and crops of the masked-image methods.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.mim import *

from benchmark.data.views.corrupted import CorruptedView
from benchmark.nn.corruptions.genesis import LocalShuffling, Painting, RandomFlips
from benchmark.nn.corruptions.intensity_curves import BezierCurve
from benchmark.nn.decoders.mae import LinearDecoder
from methods.models_genesis import ModelsGenesis

card = dict(
    title="Models Genesis",
    family="image restoration",
    paper="Zhou et al., MedIA 2021",
    paper_url="https://arxiv.org/abs/2004.07882",
    code="https://github.com/MrGiovanni/ModelsGenesis",
    pretraining="XA-170K",
)

anatomy = False
method = dict(
    type=ModelsGenesis,
    views=dict(
        type=CorruptedView,
        size=224,
        scale=(0.2, 1.0),
        ratio=(3 / 4, 4 / 3),
        flip=0.0,
        changes=[dict(type=RandomFlips, probability=0.4, most=3)],
        corruptions=[
            dict(type=LocalShuffling, probability=0.5, windows=700, largest=1 / 10),
            dict(type=BezierCurve, probability=0.9, inversion=0.5),
            dict(
                type=Painting,
                probability=0.9,
                inside=0.2,
                more=0.95,
                boxes=5,
                holes=(1 / 6, 1 / 3),
                windows=(3 / 7, 4 / 7),
                margin=3,
            ),
        ],
    ),
    encoder=method["encoder"],
    decoder=dict(type=LinearDecoder),
)
scales = dict(small={"method.views.size": 128}, tiny={"method.views.size": 96})

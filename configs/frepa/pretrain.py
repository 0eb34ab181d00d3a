"""Frepa: frequency-aware pre-training (Chu et al., TMI 2025).

    tools/dist_train.sh configs/frepa/pretrain.py 8

Source: Arturia-Pendragon-Iris/Frepa @ 2191992 (pretrain/): either domain with probability 0.5, half
to three quarters of the cells, 16² cells of the image, 32² of the spectrum, σ ~ |N(5e-4, 1e-4)|, d
in 0.15–0.25, 0.2·L_HFL with five filters, histogram shift 0.8. Deviations: see methods/frepa.py;
and optimiser, schedule and crops of the masked-image methods in place of batches of 4 for 100
epochs without warm-up. The batch cannot be split.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.mim import *

from benchmark.data.views.corrupted import CorruptedView
from benchmark.nn.backbones.sam import SAMEncoder
from benchmark.nn.corruptions.frequency import CellNoise, EitherCorruption, SpectrumNoise
from benchmark.nn.corruptions.intensity_curves import HistogramShift
from benchmark.nn.decoders.convolutional import ConvDecoder
from benchmark.nn.objectives.frequency import HighFrequencyLoss
from methods.frepa import Frepa

card = dict(
    title="Frepa",
    family="image restoration",
    paper="Chu et al., TMI 2025",
    code="https://github.com/Arturia-Pendragon-Iris/Frepa",
    pretraining="XA-170K",
)

anatomy = False
micro_batch = None
method = dict(
    type=Frepa,
    views=dict(
        type=CorruptedView,
        size=224,
        scale=(0.2, 1.0),
        ratio=(3 / 4, 4 / 3),
        flip=0.5,
        changes=[dict(type=HistogramShift, probability=0.8, points=(8, 12))],
        corruptions=[
            dict(
                type=EitherCorruption,
                first=dict(type=CellNoise, ratio=(0.5, 0.75), cells=16),
                second=dict(
                    type=SpectrumNoise,
                    ratio=(0.5, 0.75),
                    cells=32,
                    sigma=(5e-4, 1e-4),
                    width=(0.15, 0.25),
                ),
                probability=0.5,
            ),
        ],
    ),
    encoder=dict(
        type=SAMEncoder,
        img_size=224,
        patch_size=16,
        embed_dim=768,
        depth=12,
        num_heads=12,
        window_size=0,
        global_blocks=(),
        abs_pos=True,
        rel_pos=False,
        neck_channels=128,
        norm_eps=1e-5,
    ),
    decoder=dict(type=ConvDecoder),
    high_frequency=dict(type=HighFrequencyLoss, levels=5, base=10 / 512),
    gradient_weight=1.0,
    high_frequency_weight=0.2,
)
scales = dict(
    small={
        "method.views.size": 128,
        "method.encoder.img_size": 128,
        "method.encoder.embed_dim": 384,
        "method.encoder.depth": 6,
        "method.encoder.num_heads": 6,
        "method.encoder.neck_channels": 64,
    },
    tiny={
        "method.views.size": 96,
        "method.encoder.img_size": 96,
        "method.encoder.patch_size": 8,
        "method.encoder.embed_dim": 96,
        "method.encoder.depth": 4,
        "method.encoder.num_heads": 3,
        "method.encoder.neck_channels": 32,
    },
)

"""LocalMIM: Masked Image Modeling with Local Multi-Scale Reconstruction (Wang et al., CVPR 2023).

    tools/dist_train.sh configs/localmim/pretrain.py 8

Source: Haoqing-Wang/LocalMIM @ 314a6e5 (ViT-B); mask ratio 0.75, HOG of 9 bins at 4, 8, 16 and 32
pixels, lr 2e-4 per 256 samples down to 1e-6, 1600 epochs.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.mim import *

from benchmark.nn.decoders.local import LocalDecoder
from benchmark.nn.masking.random import RandomMasking
from benchmark.nn.objectives.hog import HOG
from methods.localmim import LocalMIM

card = dict(
    title="LocalMIM",
    family="masked image modelling",
    paper="Wang et al., CVPR 2023",
    paper_url="https://arxiv.org/abs/2303.05251",
    code="https://github.com/Haoqing-Wang/LocalMIM",
    pretraining="XA-170K",
)

epochs = 1600
base_lr = 2e-4
schedule.update(min_factor=1e-6 / (2e-4 * 2048 / 256))
method.update(
    type=LocalMIM,
    decoder=dict(type=LocalDecoder, width=256, depth=1, num_heads=8),
    masking=dict(type=RandomMasking, ratio=0.75),
    target=dict(type=HOG, bins=9),
    layers=(1, 3, -3, -1),
    scales=(4, 2, 1, 0.5),
)
# Shallower encoders have fewer layers to choose from.
scales = dict(small={"method.layers": (1, 2, 3, 5)}, tiny={"method.layers": (0, 1, 2, 3)})

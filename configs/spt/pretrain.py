"""SPT: segmentor-based pre-training, a UNet supervised by the extracted vessels.

    tools/dist_train.sh configs/spt/pretrain.py 8

Figure 9 of arXiv 2602.11536. The paper does not give the recipe: optimiser, schedule, batch, epochs
and crops are those of the masked-image methods it is compared with.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.mim import *

from benchmark.nn.backbones.unet import UNetEncoder
from methods.spt import SPT

card = dict(
    title="SPT",
    family="supervised by extracted vessels",
    paper="Huang et al., arXiv 2602.11536, 2026",
    paper_url="https://arxiv.org/abs/2602.11536",
    pretraining="XA-170K",
)

anatomy = True
micro_batch = None  # batch normalisation needs the complete batch
method = dict(
    type=SPT,
    views=method["views"],
    encoder=dict(type=UNetEncoder, base_channels=64, stages=5, img_size=224),
)
scales = dict(
    small={"method.encoder.base_channels": 32, "method.encoder.img_size": 128},
    tiny={"method.encoder.base_channels": 8, "method.encoder.img_size": 96},
)

"""CrossMAE: Rethinking Patch Dependence for Masked Autoencoders (Fu et al., TMLR 2025).

    tools/dist_train.sh configs/crossmae/pretrain.py 8

Source: TonyLianLong/CrossMAE @ ed0677a; mask ratio 0.75, of which a third is predicted (the
published command; the released weights were trained with `predicted=0.75` and the full learning
rate), batch 4096. The learning rate shrinks with the share of masked patches that is predicted.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.mim import *

from benchmark.nn.decoders.cross_attention import CrossAttentionDecoder
from benchmark.nn.masking.random import RandomMasking
from benchmark.nn.objectives.pixels import PixelReconstruction
from methods.crossmae import CrossMAE

card = dict(
    title="CrossMAE",
    family="masked image modelling",
    paper="Fu et al., TMLR 2025",
    paper_url="https://arxiv.org/abs/2401.14391",
    code="https://github.com/TonyLianLong/CrossMAE",
    pretraining="XA-170K",
)

batch_size = 4096
base_lr = 1.5e-4 * 0.25 / 0.75
method.encoder.update(final_norm=False)
method.update(
    type=CrossMAE,
    decoder=dict(type=CrossAttentionDecoder, width=512, depth=12, num_heads=16),
    masking=dict(type=RandomMasking, ratio=0.75),
    objective=dict(type=PixelReconstruction, normalise=True),
    predicted=0.25,
)

"""SimMIM: A Simple Framework for Masked Image Modeling (Xie et al., CVPR 2022).

    tools/dist_train.sh configs/simmim/pretrain.py 8

Source: microsoft/SimMIM @ d3e29bc, simmim_pretrain__vit_base__img224__800ep: units of 32 px, ratio
0.6, L1 on pixels, layer scale and drop path 0.1, lr 1e-4 per 512 samples, ×0.1 after 700 of 800
epochs, gradients clipped at norm 5, no weight decay on positions and CLS token. Positions: see
methods/simmim.py.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.mim import *

from benchmark.nn.decoders.mae import LinearDecoder
from benchmark.nn.masking.blocks import UnitMasking
from benchmark.nn.objectives.pixels import PixelReconstruction
from benchmark.training.schedules import WarmupMultiStep
from methods.simmim import SimMIM

card = dict(
    title="SimMIM",
    family="masked image modelling",
    paper="Xie et al., CVPR 2022",
    paper_url="https://arxiv.org/abs/2111.09886",
    code="https://github.com/microsoft/SimMIM",
    pretraining="XA-170K",
)

base_lr = 1e-4
lr_batch = 512
optimizer.update(betas=(0.9, 0.999))
undecayed = ("encoder.pos_embed", "encoder.cls_token")
schedule = dict(
    type=WarmupMultiStep, milestones=(700 / 800,), gamma=0.1, warmup_epochs=10, warmup_factor=5e-3
)
clip_grad = dict(max_norm=5.0)

method.update(
    type=SimMIM,
    masking=dict(type=UnitMasking, ratio=0.6, unit=32),
    objective=dict(type=PixelReconstruction, normalise=False, distance="l1"),
)
method["decoder"] = dict(type=LinearDecoder)
method["views"].update(scale=(0.67, 1.0))
method["encoder"].update(learned_pos_embed=True, layer_scale=0.1, drop_path=0.1)

"""Objective: contextual loss in the place of L_cons (table V)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

from benchmark.nn.objectives.perceptual import VGG16, ContextualLoss

card.update(title="VasoMIM, contextual loss")
method.update(consistency=None)
method["objective"] = [
    dict(type=PixelReconstruction, normalise=True),
    dict(
        type=ContextualLoss,
        features=dict(type=VGG16, checkpoint="{work}/released/vgg16-397923af.pth"),
        layers=("relu4_2",),
        bandwidth=0.5,
    ),
]

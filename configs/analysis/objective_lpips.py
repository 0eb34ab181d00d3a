"""Objective: perceptual similarity, LPIPS, in the place of L_cons (table V)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

from benchmark.nn.objectives.perceptual import LPIPS, VGG16

card.update(title="VasoMIM, LPIPS")
method.update(consistency=None)
method["objective"] = [
    dict(type=PixelReconstruction, normalise=True),
    dict(
        type=LPIPS,
        features=dict(type=VGG16, checkpoint="{work}/released/vgg16-397923af.pth"),
        checkpoint="{work}/released/lpips_vgg.pth",
    ),
]

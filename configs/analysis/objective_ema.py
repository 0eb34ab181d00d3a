"""Objective: distillation from the encoder's moving average for L_cons (table V)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

from benchmark.nn.ema import CosineMomentum
from benchmark.nn.objectives.feature_distillation import SelfDistillation

card.update(title="VasoMIM, distillation from its average")
method.update(consistency=None)
method["objective"] = [
    dict(type=PixelReconstruction, normalise=True),
    dict(type=SelfDistillation, momentum=dict(type=CosineMomentum, start=0.996, end=1.0)),
]

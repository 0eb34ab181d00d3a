"""Objective: feature distillation from CLIP in the place of L_cons (table V)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

from benchmark.encoders.frozen_encoder import FrozenEncoder
from benchmark.nn.objectives.feature_distillation import FeatureDistillation

card.update(title="VasoMIM, distillation from CLIP")
method.update(consistency=None)
method["objective"] = [
    dict(type=PixelReconstruction, normalise=True),
    dict(
        type=FeatureDistillation,
        teacher=dict(type=FrozenEncoder, checkpoint="{work}/released/clip/encoder.safetensors"),
    ),
]

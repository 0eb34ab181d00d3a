"""Segmentor trained together with the model instead of in advance (AAAI table S4)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim_v1.pretrain import *

from benchmark.anatomy.segmentor import JointSegmentor
from benchmark.anatomy.unext import UNeXt

card.update(title="VasoMIM-v1, joint segmentor")
method["segmentor"] = dict(type=JointSegmentor, network=dict(type=UNeXt))

"""Objective: L_rec + L_w-rec, weighted by the anatomy, in place of L_cons (AAAI table S5)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim_v1.pretrain import *

from benchmark.nn.objectives.pixels import AnatomyWeightedReconstruction

card.update(title="VasoMIM-v1, weighted reconstruction")
method.update(consistency=None)
method["objective"] = dict(type=AnatomyWeightedReconstruction, eta=1.0, normalise=True)

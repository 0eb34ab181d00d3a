"""Vessel HOG: masks guided by vessels, histograms of gradients as targets, in one config file.

    tools/train.py configs/examples/vessel_hog.py

Recombines existing parts: MAE's encoder and decoder, VasoMIM's masking, MaskFeat's
targets. The width of the decoder's output follows the objective.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.mim import *

from benchmark.nn.masking.anatomy import AnatomyGuidedMasking
from benchmark.nn.objectives.hog import HOGReconstruction
from methods.mae import MAE

card = dict(
    title="Vessel HOG",
    family="masked image modelling",
    paper="an example of this repository",
    pretraining="XA-170K",
)

anatomy = True
method.update(
    type=MAE,
    masking=dict(type=AnatomyGuidedMasking, ratio=0.5, eta=1.0, beta_start=0.0, beta_end=0.5),
    objective=dict(type=HOGReconstruction, cell=8, bins=9),
)

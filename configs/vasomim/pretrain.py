"""VasoMIM: vascular-anatomy-aware masked image modelling (journal version, arXiv 2602.11536).

    tools/dist_train.sh configs/vasomim/pretrain.py 8

Needs packs with anatomy (tools/extract_anatomy.py) and the trained segmentor
(configs/segmentor/unext_s.py). Published cost: 800 epochs on XA-170K in about 10 h on 8 H20.
Source: Dxhuang-CASIA/XA-SSL @ ceaf23c.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.mim import *

from benchmark.anatomy.segmentor import FrozenSegmentor
from benchmark.anatomy.unext import UNeXt
from benchmark.nn.masking.anatomy import AnatomyGuidedMasking
from benchmark.nn.objectives.anatomical_consistency import AnatomicalConsistency
from benchmark.nn.objectives.pixels import PixelReconstruction
from methods.vasomim import VasoMIM

card = dict(
    title="VasoMIM",
    family="masked image modelling",
    paper="Huang et al., arXiv 2602.11536, 2026",
    paper_url="https://arxiv.org/abs/2602.11536",
    code="https://github.com/Dxhuang-CASIA/XA-SSL",
    pretraining="XA-170K",
)

anatomy = True
method.update(
    type=VasoMIM,
    masking=dict(type=AnatomyGuidedMasking, ratio=0.5, eta=0.5, beta_start=0.0, beta_end=0.5),
    objective=dict(type=PixelReconstruction, normalise=True),
    segmentor=dict(
        type=FrozenSegmentor,
        network=dict(type=UNeXt),
        checkpoint="{work}/segmentor/unext_s/segmentor.safetensors",
    ),
    consistency=dict(type=AnatomicalConsistency, metric="ce"),
)

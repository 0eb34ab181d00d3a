"""The segmentor S of VasoMIM: UNeXt-S (253,561 parameters) on the extracted vessels.

    tools/train.py configs/segmentor/unext_s.py

Adam 1e-3, (1 − e/E)^0.9 per epoch, 200 epochs, batch 256, 0.5·BCE + 0.5·(1 − Dice), crops as in
pre-training. Source: Dxhuang-CASIA/XA-SSL @ ceaf23c.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.pretraining import *

from torch.optim import Adam

from benchmark.anatomy.segmentor import SegmentorTraining
from benchmark.anatomy.unext import UNeXt
from benchmark.data.views.single import SingleView
from benchmark.training.schedules import PolynomialPerEpoch

card = dict(title="UNeXt-S", family="segmentor", paper="Valanarasu et al., MICCAI 2022")

epochs = 200
batch_size = 256
micro_batch = None  # batch normalisation needs the complete batch
base_lr = 1e-3
lr_batch = None
optimizer = dict(type=Adam)
schedule = dict(type=PolynomialPerEpoch, power=0.9)

anatomy = True

method = dict(
    type=SegmentorTraining,
    views=dict(type=SingleView, size=224, scale=(0.2, 1.0), ratio=(3 / 4, 4 / 3), flip=0.5),
    network=dict(type=UNeXt),
)

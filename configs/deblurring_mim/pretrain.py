"""DeblurringMIM: masked image modelling with deblurring (Kang et al., MICCAI 2023; MedIA 2024).

    tools/dist_train.sh configs/deblurring_mim/pretrain.py 8

Source: openmedlab/DeblurringMIM @ 658b59d; Gaussian blur with σ = 1.1, mask ratio 0.75, targets not
normalised, batch 256. 800 epochs as for their model of 280,000 images (12,000 on 10,675 images).
"""

from mmengine.config import read_base

with read_base():
    from .._base_.mim import *

from benchmark.nn.corruptions.blur import GaussianBlur
from benchmark.nn.masking.random import RandomMasking
from benchmark.nn.objectives.pixels import PixelReconstruction
from methods.deblurring_mim import BlurredView, DeblurringMIM

card = dict(
    title="DeblurringMIM",
    family="masked image modelling",
    paper="Kang et al., MedIA 2024",
    paper_url="https://arxiv.org/abs/2306.08249",
    code="https://github.com/openmedlab/DeblurringMIM",
    pretraining="XA-170K",
)

batch_size = 256
micro_batch = 32
method.views.update(type=BlurredView, blur=dict(type=GaussianBlur, sigma=1.1))
method.update(
    type=DeblurringMIM,
    masking=dict(type=RandomMasking, ratio=0.75),
    objective=dict(type=PixelReconstruction, normalise=False),
)

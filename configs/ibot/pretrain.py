"""iBOT: Image BERT Pre-Training with Online Tokenizer (Zhou et al., ICLR 2022).

    tools/dist_train.sh configs/ibot/pretrain.py 8

Source: bytedance/ibot @ da316d8 with the settings reported for the released ViT-B/16: DINO's, but
8192 prototypes that CLS and patches share, and crops of 32–100 % and ten of 5–32 %. Of half of the
large views 10–50 % of the patches are masked, in rectangles.
"""

from mmengine.config import read_base

with read_base():
    from ..dino.pretrain import *

from benchmark.nn.masking.ibot import BlockwiseRatioMasking
from methods.ibot import IBOT

card = dict(
    title="iBOT",
    family="self-distillation",
    paper="Zhou et al., ICLR 2022",
    pretraining="XA-170K",
)

method.views.update(scale=(0.32, 1.0), local_scale=(0.05, 0.32))
method.head.update(prototypes=8192)
method.update(
    type=IBOT,
    masking=dict(type=BlockwiseRatioMasking, ratios=(0.0, 0.3), spread=(0.0, 0.2), aspect=0.3),
    patch_temperature=dict(type=TeacherTemperature, start=0.04, end=0.07, epochs=50),
    class_weight=1.0,
    patch_weight=1.0,
)
scales["small"].update({"method.patch_temperature.epochs": 12})
scales["tiny"].update({"method.patch_temperature.epochs": 3})

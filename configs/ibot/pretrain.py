"""iBOT: Image BERT Pre-Training with Online Tokenizer (Zhou et al., ICLR 2022).

    tools/dist_train.sh configs/ibot/pretrain.py 8

Source: bytedance/ibot @ da316d8. *Defaults of the repository, or its command for ViT-S/16*: 8192
prototypes that CLS and patches share, both losses of weight 1, ten local crops, masks of 10–50 % in
rectangles on half of the large views, and what DINO's recipe lists as defaults.

*Quoted from the `args.txt` of the released ViT-B/16* (mahmoodlab/UNI, issue 47): both teacher
temperatures 0.04 → 0.07, last layer frozen for 3 epochs.

*Reported for it, not verified*: crops of 32–100 % and of 5–32 %, 50 epochs until the temperature is
reached, and epochs, batch, learning rates and clipping as in DINO's recipe. The repository's
defaults are 30 epochs for the temperature, 100 epochs, 5e-4 down to 1e-6, 3.0 and crops of 14–100 %
without local ones; its command for ViT-S/16 has 800 epochs, batch 1024, 25–100 % and 5–25 %.
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
    paper_url="https://arxiv.org/abs/2111.07832",
    code="https://github.com/bytedance/ibot",
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
del scales["mini"]  # found for DINO alone

"""DnCNN from scratch (Zhang et al., TIP 2017): DnCNN-S, 17 layers.

Trained with the windows, loss and schedule of the other rows; tested on complete frames.
"""

from benchmark.downstream.denoising.dncnn import DnCNN

card = dict(
    title="DnCNN",
    family="from scratch",
    paper="Zhang et al., TIP 2017",
    paper_url="https://arxiv.org/abs/1608.03981",
    pretraining="—",
)

task = "denoising"
model = dict(
    backbone=dict(type=DnCNN, depth=17, width=64, channels=1),
    neck=None,
    decode_head=None,
    window=None,
)
scales = dict(
    tiny={"model.backbone.depth": 7, "model.backbone.width": 16},
    small={"model.backbone.width": 32},
)

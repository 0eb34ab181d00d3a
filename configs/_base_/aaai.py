"""Fine-tuning for segmentation, protocol `aaai` (VasoMIM, AAAI version; `docs/protocol.md`).

A plain UNet decoder without SimpleFPN, learning rate 1e-4, weight decay 0.05, 500 epochs, three
seeds; ARCADE is trained on its 200 validation images. What the paper does not state (batch, loss,
augmentation, the layers of the decoder) is as in protocol `journal`, a declared choice.
"""

from mmengine.config import read_base

with read_base():
    from .segmentation import *

from benchmark.downstream.segmentation.plain import PatchMap, PlainUNetDecoder

protocol = "aaai"
epochs = 500
base_lr = 1e-4
optimizer["weight_decay"] = 0.05
model["neck"] = dict(type=PatchMap, width=512)
model["decode_head"].update(type=PlainUNetDecoder, widths=(64, 128, 256, 512), stem=32)

scales = dict(
    tiny={
        "protocol": "aaai-demo",
        "base_lr": 2e-3,
        "epochs": 30,
        "model.neck.width": 64,
        "model.decode_head.widths": (8, 16, 32, 64),
        "model.decode_head.stem": 8,
    },
    small={
        "protocol": "aaai-small",
        "base_lr": 5e-4,
        "model.neck.width": 256,
        "model.decode_head.widths": (32, 64, 128, 256),
        "model.decode_head.stem": 16,
    },
)

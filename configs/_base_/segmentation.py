"""Fine-tuning for segmentation, protocol `journal` (`docs/protocol.md`).

End-to-end fine-tuning of ViT + SimpleFPN + UNet decoder at 224², AdamW, cosine per epoch with
T_max = epochs; learning rate and epochs are the dataset's. The paper does not state batch, loss,
augmentation and layer decay: batch 16, BCE + Dice, the augmentations, layer decay 0.75 and drop
path 0.1 are CheXWorld's and a declared choice of this benchmark. The last epoch
is scored; there is no selection on the test set.
"""

from mmengine.config import read_base

with read_base():
    from .finetuning import *

from mmcv.transforms import LoadImageFromFile, RandomFlip, Resize
from mmseg.datasets.transforms import PackSegInputs
from mmseg.models.data_preprocessor import SegDataPreProcessor
from mmseg.models.segmentors import EncoderDecoder
from torch.optim import AdamW

from benchmark.downstream.segmentation.dataset import (
    BrightnessContrast,
    LoadTruth,
    ShiftScaleRotate,
)
from benchmark.downstream.segmentation.model import (
    BinaryCrossEntropy,
    BinaryDice,
    SimpleFPN,
    UNetDecoder,
)
from benchmark.training.schedules import CosinePerEpoch

task = "segmentation"
metrics = ("dsc", "cldice")
score_at = "native"
label_map = False
protocol = "journal"
epochs = 100
batch_size = 16
base_lr = 2e-4
lr_batch = None
layer_decay = 0.75
optimizer = dict(type=AdamW, weight_decay=0.05)
schedule = dict(type=CosinePerEpoch)
env_cfg = dict(cudnn_benchmark=True, deterministic=False)  # pays off at a fixed image size

model = dict(
    type=EncoderDecoder,
    data_preprocessor=dict(
        type=SegDataPreProcessor,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size_divisor=1,
    ),
    neck=dict(type=SimpleFPN, widths=(64, 128, 256, 512)),
    decode_head=dict(
        type=UNetDecoder,
        widths=(64, 128, 256, 512),
        stem=32,
        num_classes=2,  # this and the next follow the classes of the task
        out_channels=1,
        threshold=0.5,
        loss_decode=[dict(type=BinaryCrossEntropy), dict(type=BinaryDice)],
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)

train_pipeline = [
    dict(type=LoadImageFromFile, imdecode_backend="pillow"),
    dict(type=LoadTruth),
    dict(type=Resize, scale=(224, 224), keep_ratio=False),
    dict(type=ShiftScaleRotate, shift=0.0625, scale=0.1, rotate=10.0, probability=0.5),
    dict(type=BrightnessContrast, limit=0.2, probability=0.8),
    dict(type=RandomFlip, prob=0.5),
    dict(type=PackSegInputs),
]
test_pipeline = [
    dict(type=LoadImageFromFile, imdecode_backend="pillow"),
    dict(type=Resize, scale=(224, 224), keep_ratio=False),
    dict(type=PackSegInputs),
]

# Small networks need larger steps.
scales = dict(tiny=dict(base_lr=2e-3, epochs=30), small=dict(base_lr=5e-4))

"""Fine-tuning for denoising, protocol `aaai` (`docs/protocol.md`).

ViT + SimpleFPN + UNet decoder that predict the noise in windows of 224² at native resolution;
AdamW, learning rate 1e-4, weight decay 0.05, 500 epochs, three seeds. What the paper does not state
is a declared choice of this benchmark: batch 16, layer decay 0.75, drop path 0.1 and flip as in
segmentation; squared error, on which PSNR is based and which is DnCNN's loss; windows instead of
resized frames, because resizing removes the noise. The last epoch is scored; there is no
selection on the test set.
"""

from mmengine.config import read_base

with read_base():
    from .finetuning import *

from mmcv.transforms import RandomFlip
from torch.nn import MSELoss
from torch.optim import AdamW

from benchmark.downstream.denoising.dataset import PackPair, RandomWindow
from benchmark.downstream.denoising.model import Denoiser, FramePreprocessor, NoiseDecoder
from benchmark.downstream.segmentation.model import SimpleFPN
from benchmark.training.schedules import CosinePerEpoch

task = "denoising"
metrics = ("psnr", "ssim")
protocol = "aaai"
epochs = 500
batch_size = 16
base_lr = 1e-4
lr_batch = None
layer_decay = 0.75
optimizer = dict(type=AdamW, weight_decay=0.05)
schedule = dict(type=CosinePerEpoch)
env_cfg = dict(cudnn_benchmark=True, deterministic=False)  # pays off at a fixed image size

model = dict(
    type=Denoiser,
    # One channel from 0 to 1; an encoder brings the mean and std it was trained with.
    data_preprocessor=dict(type=FramePreprocessor, mean=(0.0,), std=(255.0,)),
    neck=dict(type=SimpleFPN, widths=(64, 128, 256, 512)),
    decode_head=dict(type=NoiseDecoder, widths=(64, 128, 256, 512), stem=32),
    loss=dict(type=MSELoss),
    window=224,
    overlap=0.25,
)

train_pipeline = [
    dict(type=RandomWindow, size=224),
    dict(type=RandomFlip, prob=0.5),
    dict(type=PackPair),
]
test_pipeline = [dict(type=PackPair)]

scales = dict(
    tiny={
        "protocol": "aaai-demo",
        "base_lr": 2e-3,
        "epochs": 30,
        "model.decode_head.widths": (8, 16, 32, 64),
        "model.decode_head.stem": 8,
        "model.window": 96,
        "RandomWindow.size": 96,
    },
    small={
        "protocol": "aaai-small",
        "base_lr": 5e-4,
        "model.decode_head.widths": (32, 64, 128, 256),
        "model.decode_head.stem": 16,
        "model.window": 128,
        "RandomWindow.size": 128,
    },
)

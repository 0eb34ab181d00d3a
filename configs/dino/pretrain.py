"""DINO: Emerging Properties in Self-Supervised Vision Transformers (Caron et al., ICCV 2021).

    tools/dist_train.sh configs/dino/pretrain.py 8

Source: facebookresearch/dino @ 7c446df. *Defaults of the repository*: 65536 prototypes with a
normalised last layer, teacher momentum 0.996 → 1, teacher temperature from 0.04, student
temperature 0.1, centre momentum 0.9, weight decay 0.04 → 0.4, 10 epochs of warm-up, drop path 0.1,
local crops of 96² from 5 % on, intensity augmentations.

*Reported for the released ViT-B/16, not verified* (its `args.txt` could not be read): 400 epochs,
batch 1024, lr 7.5e-4 per 256 samples down to 2e-6, teacher temperature to 0.07 over 50 epochs,
gradients clipped at 0.3 each, last layer frozen for 3 epochs, crops of 25–100 % and ten of 5–25 %.
The repository's defaults are 100 epochs, batch 512, 5e-4 down to 1e-6, temperature 0.04 throughout
(its advice for longer runs: 0.07 over 30 epochs), 3.0, 1 epoch, 40–100 % and eight of 5–40 %.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.contrastive import *

from benchmark.data.views.multi import MultiCrop
from benchmark.nn.backbones.multicrop_vit import MultiCropViT
from benchmark.nn.ema import CosineMomentum
from benchmark.nn.objectives.self_distillation import TeacherTemperature
from benchmark.nn.projection import PrototypeHead
from benchmark.training.clipping import ClipEachTensor
from benchmark.training.schedules import CosineRamp
from methods.dino import DINO

card = dict(
    title="DINO",
    family="self-distillation",
    paper="Caron et al., ICCV 2021",
    paper_url="https://arxiv.org/abs/2104.14294",
    code="https://github.com/facebookresearch/dino",
    pretraining="XA-170K",
)

epochs = 400
batch_size = 1024
micro_batch = 64  # twelve views of each frame
base_lr = 7.5e-4
optimizer.update(weight_decay=0.04)
decay_schedule = dict(type=CosineRamp, end=0.4 / 0.04)
schedule.update(warmup_epochs=10, min_factor=2e-6 / (7.5e-4 * 1024 / 256))
clip_grad = dict(type=ClipEachTensor, max_norm=0.3)

method.views.update(
    type=MultiCrop,
    scale=(0.25, 1.0),
    local_count=10,
    local_size=96,
    local_scale=(0.05, 0.25),
    local_intensity=dict(brightness=0.4, contrast=0.4, jitter=0.8, blur=0.5, sigma=(0.1, 2.0)),
)
method.encoder.update(type=MultiCropViT, learned_pos_embed=True, drop_path=0.1)
method.update(
    type=DINO,
    head=dict(type=PrototypeHead, hidden=2048, bottleneck=256, prototypes=65536),
    momentum=dict(type=CosineMomentum, start=0.996, end=1.0),
    teacher_temperature=dict(type=TeacherTemperature, start=0.04, end=0.07, epochs=50),
    student_temperature=0.1,
    centre_momentum=0.9,
    freeze_last_layer=3,
)
# With fewer steps the EMA has to move faster.
scales = dict(
    small={
        "method.head.hidden": 1024,
        "method.head.prototypes": 4096,
        "method.momentum.start": 0.99,
        "method.teacher_temperature.epochs": 12,
        "method.freeze_last_layer": 1,
    },
    tiny={
        "method.head.hidden": 128,
        "method.head.bottleneck": 64,
        "method.head.prototypes": 256,
        "method.momentum.start": 0.9,
        "method.teacher_temperature.epochs": 3,
        "method.freeze_last_layer": 1,
    },
    # Training collapses to uniform outputs unless views of a frame agree enough: if the outputs of
    # two views correlate by ρ, the spread of the student's logits relative to the teacher's is
    # ρ·T_s/T_t at best, and shrinks below 1. At random weights ρ is 0.12 with the brightness
    # augmentation of natural images and 0.7 with this one. Crops and temperature are the defaults
    # of the repository, for shorter runs.
    mini={
        "base_lr": 1.25e-4,
        "method.momentum.start": 0.996,
        "method.teacher_temperature.end": 0.04,
        "method.views.scale": (0.4, 1.0),
        "method.views.intensity": (
            dict(brightness=0.1, contrast=0.4, jitter=0.8, blur=1.0, sigma=(0.1, 2.0)),
            dict(
                brightness=0.1, contrast=0.4, jitter=0.8, blur=0.1, sigma=(0.1, 2.0), solarize=0.2
            ),
        ),
        "method.views.local_scale": (0.05, 0.4),
        "method.views.local_intensity.brightness": 0.1,
    },
)

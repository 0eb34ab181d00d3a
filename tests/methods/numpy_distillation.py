"""What DINO, iBOT and MoCo v3 compute, in numpy double precision, one sample and view at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy_vit import Weights, layer_norm, linear, patch_tokens, vit_layers
from official_shapes import Shapes, encoder
from official_shapes import linear as linear_shapes
from scipy.special import erf, log_softmax, softmax
from torch import Tensor, nn

from benchmark.data.views.multi import MultiCrop
from benchmark.method import Progress
from benchmark.nn.backbones.multicrop_vit import MultiCropViT
from benchmark.nn.ema import CosineMomentum
from benchmark.nn.objectives.self_distillation import TeacherTemperature
from benchmark.nn.projection import PrototypeHead

PATCH, HEADS = 8, 4
PROGRESS = Progress(epoch=1, epochs=5, step=4, steps_per_epoch=3)
PARTS = dict(
    views=dict(type=MultiCrop, size=32, local_size=16, local_count=2),
    encoder=dict(
        type=MultiCropViT,
        **dict(img_size=32, patch_size=PATCH, embed_dim=32, depth=2, num_heads=HEADS),
        learned_pos_embed=True,
    ),
    head=dict(type=PrototypeHead, hidden=24, bottleneck=8, prototypes=12),
    momentum=dict(type=CosineMomentum, start=0.9),
    teacher_temperature=dict(type=TeacherTemperature, start=0.04, end=0.07, epochs=3),
)
"""Of DINO and iBOT. `PROGRESS` is in the second of three epochs of warm-up."""
MOMENTUM = 1 - (1 - 0.9) * (1 + math.cos(math.pi * 4 / 15)) / 2
"""Of the teacher at `PROGRESS`."""
TEMPERATURES = (0.04 + 0.03 / 2, 0.1)
"""Of the teacher at `PROGRESS` and of the student."""


def part_of(weights: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The arrays below a prefix; changing one in place changes it in `weights`, too."""
    return {
        name.removeprefix(prefix): value
        for name, value in weights.items()
        if name.startswith(prefix)
    }


def averaged(
    teacher: Weights, student: Weights, momentum: float, names: Sequence[str]
) -> dict[str, np.ndarray]:
    """m·θ' + (1 − m)·θ for the named arrays; the teacher's own for the others."""
    return {
        name: momentum * value + (1 - momentum) * student[name] if name in names else value
        for name, value in teacher.items()
    }


def cubic(x: float) -> float:
    """Keys' kernel with a = −0.75, as torch interpolates without a low-pass filter."""
    x, a = abs(x), -0.75
    if x < 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def resampled_positions(table: np.ndarray, own: int, new: int) -> np.ndarray:
    """(own²)×D to (new²)×D: pixel (i + ½)·own/(new + 0.1) − ½, border continued."""
    weights = np.zeros((new, own))
    for i in range(new):
        centre = (i + 0.5) * own / (new + 0.1) - 0.5
        first = int(np.floor(centre)) - 1
        for place in range(first, first + 4):
            weights[i, min(max(place, 0), own - 1)] += cubic(centre - place)
    square = table.reshape(own, own, -1)
    return np.einsum("ir,jc,rcd->ijd", weights, weights, square).reshape(new * new, -1)


def vit_tokens(
    vit: Weights,
    image: np.ndarray,
    mask: np.ndarray | None = None,
    masked_embed: np.ndarray | None = None,
) -> np.ndarray:
    """CLS and patches of one image after the final norm, (1 + N)×D."""
    patches = patch_tokens(image, vit)
    if mask is not None:
        patches[mask > 0] = masked_embed[0]
    positions = vit["pos_embed"][0]
    own, new = int(np.sqrt(len(positions) - 1)), int(np.sqrt(len(patches)))
    if own != new:
        table = resampled_positions(positions[1:], own, new)
        vit = {**vit, "pos_embed": np.concatenate([positions[:1], table])[None]}
    return layer_norm(vit_layers(patches, vit, HEADS)[-1], vit, "norm")


def prototype_logits(head: Weights, token: np.ndarray) -> np.ndarray:
    """MLP with GELU, ℓ2 normalisation, prototypes g·v/‖v‖."""
    x = token
    for number in (0, 2, 4):
        x = linear(x, head, f"mlp.{number}")
        if number < 4:
            x = x * 0.5 * (1 + erf(x / np.sqrt(2)))
    x = x / np.linalg.norm(x)
    v = head["last_layer.weight_v"]
    return (head["last_layer.weight_g"] * v / np.linalg.norm(v, axis=1, keepdims=True)) @ x


def entropy(
    teacher: np.ndarray, student: np.ndarray, centre: np.ndarray, temperatures: tuple[float, float]
) -> float:
    """−Σ softmax((t − c)/T_t) log softmax(s/T_s)."""
    target = softmax((teacher - centre.ravel()) / temperatures[0])
    return float(-(target * log_softmax(student / temperatures[1])).sum())


def projected(mlp: Weights, rows: np.ndarray) -> np.ndarray:
    """Projector or predictor of MoCo v3 on a batch, B×in to B×out, by the batch's statistics."""
    layers = sorted({int(name.split(".")[0]) for name in mlp})
    x = rows
    for number in layers:
        if f"{number}.running_mean" not in mlp:
            x = x @ mlp[f"{number}.weight"].T
            continue
        x = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5)
        if f"{number}.weight" in mlp:
            x = np.maximum(x * mlp[f"{number}.weight"] + mlp[f"{number}.bias"], 0)
    return x


def teacher_after(before: Weights, after: Weights) -> dict[str, np.ndarray]:
    """Weights of a method after a step, those of its EMA teacher from the ones `before` it."""
    found = dict(after)
    for part in ("encoder", "head"):
        prefix, student = f"teacher_{part}.module.", part_of(after, f"{part}.")
        teacher = averaged(part_of(before, prefix), student, MOMENTUM, list(student))
        found |= {prefix + name: value for name, value in teacher.items()}
    return found


def official_shapes(last_layers: Sequence[str] = ("last_layer",)) -> Shapes:
    """Backbone and head of DINO and iBOT as the official codes name them, student and teacher."""
    parts: Shapes = {f"backbone.{name}": shape for name, shape in encoder(32, 2, 16, 8).items()}
    for number, sizes in ((0, (32, 24)), (2, (24, 24)), (4, (24, 8))):
        parts |= linear_shapes(f"head.mlp.{number}", *sizes)
    for layer in last_layers:
        parts |= {f"head.{layer}.weight_g": (12, 1), f"head.{layer}.weight_v": (12, 8)}
    return parts | {f"module.{name}": shape for name, shape in parts.items()}


def gradient_step(method: nn.Module, loss: Tensor, rate: float) -> None:
    """θ ← θ − rate·∂loss/∂θ for all trained parameters."""
    trained = [p for p in method.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(loss, trained)
    with torch.no_grad():
        for parameter, gradient in zip(trained, gradients):
            parameter -= rate * gradient


def several_views(local: int = 2, seed: int = 5) -> dict[str, Tensor]:
    """Four frames: two views of 32² in double precision, and `local` ones of 16² of each."""
    generator = torch.Generator().manual_seed(seed)
    sizes = {"image_0": (4, 32), "image_1": (4, 32)} | ({"local": (4 * local, 16)} if local else {})
    views = {
        name: torch.randn(count, 3, side, side, generator=generator, dtype=torch.float64)
        for name, (count, side) in sizes.items()
    }
    return {**views, "index": torch.tensor([11, 5, 170_000, 0])}

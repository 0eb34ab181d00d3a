"""What DINO, iBOT and MoCo v3 compute, in numpy double precision, one sample and view at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy_vit import Weights, block, layer_norm, linear, to_patches
from scipy.special import erf, log_softmax, softmax
from torch import Tensor, nn

PATCH, HEADS = 8, 4


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
    kernel = vit["patch_embed.proj.weight"].transpose(0, 2, 3, 1)
    patches = to_patches(image, PATCH) @ kernel.reshape(len(kernel), -1).T
    patches = patches + vit["patch_embed.proj.bias"]
    if mask is not None:
        patches[mask > 0] = masked_embed[0]
    positions = vit["pos_embed"][0]
    own, new = int(np.sqrt(len(positions) - 1)), int(np.sqrt(len(patches)))
    table = positions[1:] if own == new else resampled_positions(positions[1:], own, new)
    x = np.concatenate([vit["cls_token"][0] + positions[:1], patches + table])
    depth = 1 + max(int(name.split(".")[1]) for name in vit if name.startswith("blocks."))
    for number in range(depth):
        x = block(x, vit, f"blocks.{number}", HEADS)
    return layer_norm(x, vit, "norm")


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

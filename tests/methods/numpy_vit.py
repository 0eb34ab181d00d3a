"""The layers of a ViT in numpy double precision, one sample at a time, without torch's help."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from scipy.special import erf, softmax
from torch import nn

Weights = Mapping[str, np.ndarray]


def double_weights(module: nn.Module, copy: bool = False) -> dict[str, np.ndarray]:
    """Weights by name; in double precision they share memory with the module unless copied."""
    return {
        name: tensor.to(torch.float64, copy=copy).numpy()
        for name, tensor in module.state_dict().items()
    }


def layer_norm(x: np.ndarray, weights: Weights, name: str) -> np.ndarray:
    centred = x - x.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def linear(x: np.ndarray, weights: Weights, name: str) -> np.ndarray:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def block(x: np.ndarray, weights: Weights, name: str, heads: int) -> np.ndarray:
    """Pre-norm attention and MLP on the tokens of one sample, T×D."""
    width = x.shape[1] // heads
    qkv = linear(layer_norm(x, weights, f"{name}.norm1"), weights, f"{name}.attn.qkv")
    query, key, value = np.split(qkv, 3, axis=1)
    outputs = []
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        attention = softmax(query[:, part] @ key[:, part].T / np.sqrt(width), axis=1)
        outputs.append(attention @ value[:, part])
    x = x + linear(np.concatenate(outputs, axis=1), weights, f"{name}.attn.proj")
    hidden = linear(layer_norm(x, weights, f"{name}.norm2"), weights, f"{name}.mlp.fc1")
    hidden = hidden * 0.5 * (1 + erf(hidden / np.sqrt(2)))
    return x + linear(hidden, weights, f"{name}.mlp.fc2")


def patch_tokens(image: np.ndarray, weights: Weights, size: int = 8) -> np.ndarray:
    """Embedding of every patch of one image, N×D, before positions are added."""
    kernel = weights["patch_embed.proj.weight"].transpose(0, 2, 3, 1)
    tokens = to_patches(image, size) @ kernel.reshape(len(kernel), -1).T
    return tokens + weights["patch_embed.proj.bias"]


def vit_layers(
    tokens: np.ndarray, weights: Weights, heads: int = 4, visible: list[int] | None = None
) -> list[np.ndarray]:
    """Tokens before the first and after each block of one image, each (prefix + K)×D.

    Args:
        tokens: embedded patches, N×D, without positions.
        visible: the K patches that are kept; all if None.
    """
    positions = weights["pos_embed"][0]
    prefix = len(positions) - len(tokens)
    x = tokens + positions[prefix:]
    x = x if visible is None else x[visible]
    if prefix:
        x = np.concatenate([weights["cls_token"][0] + positions[:1], x])
    layers = [x]
    for number in range(len({name.split(".")[1] for name in weights if name[:7] == "blocks."})):
        layers.append(block(layers[-1], weights, f"blocks.{number}", heads))
    return layers


def to_patches(image: np.ndarray, size: int) -> np.ndarray:
    """C×H×W to N×(P·P·C) in the order (row, column, channel)."""
    return np.array(
        [
            image[:, top : top + size, left : left + size].transpose(1, 2, 0).ravel()
            for top in range(0, image.shape[1], size)
            for left in range(0, image.shape[2], size)
        ]
    )

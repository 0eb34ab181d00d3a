"""Names and shapes of tensors in the official checkpoints of MAE and its descendants."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmark.nn.state_dict_names import Rules, translate

Shapes = dict[str, tuple[int, ...]]


def load_official(method: nn.Module, shapes: Shapes, rules: Rules) -> dict[str, Tensor]:
    """Load random tensors of an official checkpoint: none missing, none unexpected, none twice."""
    names = {name: translate(name, rules) for name in shapes}
    state = {ours: torch.randn(shapes[name]) for name, ours in names.items() if ours is not None}
    assert len(state) == sum(ours is not None for ours in names.values())
    method.load_state_dict(state, strict=True)
    return state


def linear(name: str, inputs: int, outputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def block(name: str, width: int) -> Shapes:
    return {
        **norm(f"{name}.norm1", width),
        **linear(f"{name}.attn.qkv", width, 3 * width),
        **linear(f"{name}.attn.proj", width, width),
        **norm(f"{name}.norm2", width),
        **linear(f"{name}.mlp.fc1", width, 4 * width),
        **linear(f"{name}.mlp.fc2", 4 * width, width),
    }


def encoder(width: int, depth: int, patches: int, size: int, final_norm: bool = True) -> Shapes:
    shapes: Shapes = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, patches + 1, width),
        "patch_embed.proj.weight": (width, 3, size, size),
        "patch_embed.proj.bias": (width,),
    }
    for number in range(depth):
        shapes |= block(f"blocks.{number}", width)
    return shapes | (norm("norm", width) if final_norm else {})


def mae_decoder(inputs: int, width: int, depth: int, patches: int, size: int) -> Shapes:
    shapes: Shapes = {
        "mask_token": (1, 1, width),
        "decoder_pos_embed": (1, patches + 1, width),
        **linear("decoder_embed", inputs, width),
        **norm("decoder_norm", width),
        **linear("decoder_pred", width, 3 * size * size),
    }
    for number in range(depth):
        shapes |= block(f"decoder_blocks.{number}", width)
    return shapes

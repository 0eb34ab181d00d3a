"""What the weights of an encoder do not tell: found by trying, and named by its class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from benchmark.errors import InputError
from benchmark.nn.backbones.base import Encoder
from benchmark.type_hints import fits, hints_of


def _toggle(value: bool) -> bool:
    return not value


# Argument → another value of it. Encoders without the argument are skipped.
OTHERS: dict[str, Callable[[Any], Any]] = {
    "img_size": lambda value: 2 * value,
    "patch_size": lambda value: value // 2,
    "embed_dim": lambda value: 2 * value,
    "depth": lambda value: value + 1,
    "num_heads": lambda value: value // 2 or 2,
    "mlp_ratio": lambda value: value / 2,
    "class_token": _toggle,
    "in_channels": lambda value: value + 1,
    "layer_scale": lambda value: 0.5 if value is None else None,
    "final_norm": _toggle,
    "reg_tokens": lambda value: value + 2,
    "no_embed_class": _toggle,
    "norm_eps": lambda value: 0.1,
    "qkv_bias": _toggle,
    "pre_norm": _toggle,
    "activation": lambda value: "gelu" if value == "quick_gelu" else "quick_gelu",
    "rope_temperature": lambda value: value / 10,
    "window_size": lambda value: value + 2,
    "global_blocks": lambda value: () if value else (0,),
    "abs_pos": _toggle,
    "rel_pos": _toggle,
    "neck_channels": lambda value: 8 if value is None else None,
    "rel_pos_bias": _toggle,
    "shared_rel_pos_bias": _toggle,
    "block": lambda value: "basic" if value == "bottleneck" else "bottleneck",
    "layers": lambda value: [count + 1 for count in value],
    "channels": lambda value: [2 * width for width in value],
    "base_channels": lambda value: 2 * value,
    "stages": lambda value: value + 1,
}


def shapes(encoder: Encoder) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in encoder.state_dict().items()}


@torch.no_grad()
def output(encoder: Encoder) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(1, encoder.arguments["in_channels"], 64, 64, generator=generator)
    maps = encoder.eval()(images)
    return [maps] if isinstance(maps, torch.Tensor) else maps


def test_arguments_not_inferable_from_weights_are_declared(kind: str, make_encoder) -> None:
    """Two networks that share all names and shapes, and give other features of the same weights."""
    encoder = make_encoder(kind)
    assert encoder.arguments.keys() <= OTHERS.keys()
    assert encoder.unproven <= encoder.arguments.keys()
    untold = set()
    for name, value in encoder.arguments.items():
        try:
            other = type(encoder)(**{**encoder.arguments, name: OTHERS[name](value)})
        except (InputError, AssertionError):  # sizes that do not fit each other
            continue
        if shapes(other) == shapes(encoder):
            other.load_state_dict(encoder.state_dict())
            if not all(map(torch.equal, output(encoder), output(other))):
                untold.add(name)
    assert untold <= encoder.unproven
    if "num_heads" in encoder.arguments and not kind.startswith(("samvit", "beit")):
        # Tables of relative positions are as wide as a head, or have a column for each.
        assert "num_heads" in untold
    if "norm_eps" in encoder.arguments:
        assert "norm_eps" in untold


@pytest.mark.parametrize("value", [0, -1, 48.0, "48", True, (48, 32), None])
def test_non_positive_sizes_are_refused(kind: str, make_encoder, value: Any) -> None:
    """As hints, by which configs, descriptions and command lines are checked."""
    hints = hints_of(type(make_encoder(kind)))
    sizes = {"img_size", "patch_size", "embed_dim", "depth", "num_heads", "in_channels", "stages"}
    for name in sizes & hints.keys():
        assert not fits(value, hints[name])
        assert fits(48, hints[name])

"""The simple feature pyramid against ViTDet's table, level by level."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.downstream.detection.pyramid import SimpleFeaturePyramid
from benchmark.errors import InputError

State = dict[str, Tensor]


def norm(maps: Tensor, state: State, name: str) -> Tensor:
    """LayerNorm over the channels of every pixel, written out."""
    mean = maps.mean(dim=1, keepdim=True)
    variance = ((maps - mean) ** 2).mean(dim=1, keepdim=True)
    scaled = (maps - mean) / (variance + 1e-6).sqrt()
    return scaled * state[f"{name}.weight"][:, None, None] + state[f"{name}.bias"][:, None, None]


def doubled(maps: Tensor, state: State, name: str) -> Tensor:
    """A 2×2 transposed convolution of stride 2: every pixel becomes a 2×2 square of its own."""
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    squares = torch.einsum("bchw,coij->bohiwj", maps, weight)
    return squares.flatten(4, 5).flatten(2, 3) + bias[:, None, None]


def head(maps: Tensor, state: State, level: int, first: int) -> Tensor:
    name = f"levels.{level}"
    maps = torch.einsum("bchw,oc->bohw", maps, state[f"{name}.{first}.weight"][..., 0, 0])
    maps = norm(maps, state, f"{name}.{first + 1}")
    maps = F.conv2d(maps, state[f"{name}.{first + 2}.weight"], padding=1)
    return norm(maps, state, f"{name}.{first + 3}")


def test_levels_are_those_of_the_paper(randomise):
    neck = randomise(SimpleFeaturePyramid(16, 12), 0).double()
    state = {name: value.detach() for name, value in neck.named_parameters()}
    features = torch.randn(2, 16, 6, 4, dtype=torch.float64)
    with torch.no_grad():
        levels = neck((features,))
        finest = doubled(features, state, "levels.0.0")
        finest = doubled(F.gelu(norm(finest, state, "levels.0.1")), state, "levels.0.3")
        pooled = features.unflatten(2, (3, 2)).unflatten(4, (2, 2)).amax(dim=(3, 5))
        expected = [
            head(finest, state, 0, 4),
            head(doubled(features, state, "levels.1.0"), state, 1, 1),
            head(features, state, 2, 0),
            head(pooled, state, 3, 1),
        ]
        expected.append(expected[3][:, :, ::2, ::2])
    for found, level in zip(levels, expected, strict=True):
        torch.testing.assert_close(found, level, rtol=1e-9, atol=1e-9)
    # The convolutions have no bias; the norm that follows has.
    assert not any(name.endswith(("0.4.bias", "2.0.bias", "2.2.bias")) for name in state)


def test_strides_and_widths_of_vit_b():
    with torch.device("meta"):
        neck = SimpleFeaturePyramid(768)
        levels = neck((torch.empty(1, 768, 32, 32),))
    assert [tuple(level.shape[1:]) for level in levels] == [
        (256, side, side) for side in (128, 64, 32, 16, 8)
    ]
    assert neck.strides(16) == [512 / level.shape[-1] for level in levels] == [4, 8, 16, 32, 64]
    # Transposed convolutions 768 → 384 → 192 and 768 → 384, counted by hand.
    finest = 768 * 384 * 4 + 384 + 2 * 384 + 384 * 192 * 4 + 192
    second = 768 * 384 * 4 + 384
    heads = sum(width * 256 + 256 * 256 * 9 + 4 * 256 for width in (192, 384, 768, 768))
    assert sum(p.numel() for p in neck.parameters()) == finest + second + heads


def test_other_factors_for_other_patches():
    neck = SimpleFeaturePyramid(8, 4, factors=(2.0, 1.0, 0.5))
    assert neck.strides(8) == [4, 8, 16, 32]
    assert [level.shape[-1] for level in neck((torch.randn(1, 8, 8, 8),))] == [16, 8, 4, 2]
    with pytest.raises(InputError, match=r"factors=\(4, 1\): each has to be half"):
        SimpleFeaturePyramid(8, 4, factors=(4, 1))
    with pytest.raises(InputError, match=r"factors: 8 is not one of 4\.0, 2\.0, 1\.0, 0\.5"):
        SimpleFeaturePyramid(8, 4, factors=(8, 4))

"""Small models and views that many tests share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.engine.mmcv_ops import install_mmcv_ops
from benchmark.nn.decoders import MAEDecoder
from benchmark.nn.vit import VisionTransformer

# Before a test imports mmpretrain, which may import parts of mmdet.
install_mmcv_ops()
# The models are so small that threads would only wait for each other.
torch.set_num_threads(1)

IMAGE, PATCH, DIM = 32, 8, 32


def randomise(module: nn.Module, seed: int) -> nn.Module:
    """Move every parameter off its initial value: zeros and ones would hide a wrong term."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return module


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Initial weights are the same in every run and order of the tests."""
    torch.manual_seed(0)


@pytest.fixture(name="randomise")
def _randomise() -> Callable[[nn.Module, int], nn.Module]:
    return randomise


@pytest.fixture
def tiny_vit() -> VisionTransformer:
    """32² pixels, 4×4 patches of 8², 32 wide, two blocks, no parameter at a special value."""
    vit = VisionTransformer(img_size=IMAGE, patch_size=PATCH, embed_dim=DIM, depth=2, num_heads=4)
    return randomise(vit, 1)


@pytest.fixture
def tiny_decoder() -> MAEDecoder:
    """The decoder of `tiny_vit`, 16 wide."""
    decoder = MAEDecoder(DIM, (4, 4), PATCH, width=16, depth=2, num_heads=2)
    return randomise(decoder, 2)


@pytest.fixture
def tiny_views() -> dict[str, Tensor]:
    """Four views of 32², with vessels in some patches and none at all in the last sample."""
    rng = np.random.default_rng(3)
    anatomy = np.zeros((4, 1, IMAGE, IMAGE))
    anatomy[0, 0, :, 9:13] = 1
    anatomy[1, 0, 3, :] = 1
    anatomy[2, 0, 16:, 16:] = rng.random((16, 16)) < 0.3
    return {
        "image": torch.from_numpy(rng.normal(0, 1, (4, 3, IMAGE, IMAGE))).float(),
        "anatomy": torch.from_numpy(anatomy).float(),
        "index": torch.tensor([11, 5, 170_000, 0]),
        "mask_noise": torch.from_numpy(rng.uniform(0.001, 0.999, (4, 16))).float(),
        "guide_noise": torch.from_numpy(rng.uniform(0.001, 0.999, (4, 16))).float(),
    }

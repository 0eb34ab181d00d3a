"""Small models and views that many tests share; seeds, and the order of the tests."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.device import VARIABLE, hide_gpus
from benchmark.mmcv_ops import install_mmcv_ops
from benchmark.nn.decoders.mae import MAEDecoder
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


def pytest_configure(config: pytest.Config) -> None:
    # pytest-randomly shuffles the tests; their random numbers are the same in every order.
    config.option.randomly_reset_seed = False
    os.environ[VARIABLE] = "auto" if _on_gpu(config) else "cpu"
    hide_gpus()


def _on_gpu(config: pytest.Config) -> bool:
    """Whether the tests that need a GPU are what was asked for; all others run on the CPU."""
    return config.option.markexpr.startswith("gpu")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if _on_gpu(config) and torch.cuda.is_available():
        return
    reason = "needs a CUDA device" if _on_gpu(config) else "run with -m gpu"
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    seed = getattr(config.option, "randomly_seed", None)  # None under -p no:randomly
    if seed is not None:
        terminalreporter.write_line(f"same order again: --randomly-seed={seed}")


def _seed_all() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  # what a library draws from
    torch.manual_seed(0)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef) -> None:
    """What several tests share is the same, whichever of them comes first."""
    if fixturedef.scope != "function":
        _seed_all()


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Initial weights are the same in every run and order of the tests."""
    _seed_all()


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

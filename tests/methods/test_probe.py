"""Whatever a method exports can be probed, and is left as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from benchmark.checks.contract import prepare
from benchmark.method_cards import CONFIGS
from benchmark.training.config import fill_paths, load_config
from benchmark.training.hooks.evaluating import evaluating
from benchmark.training.hooks.probe import exported_encoder
from benchmark.training.probing import choose_frames, probe, read_frames
from benchmark.training.train import assemble

# Also of mmpretrain: a ResNet, and backbones that are built for the export.
RECIPES = sorted([*CONFIGS.glob("*/pretrain.py"), *CONFIGS.glob("mmpretrain/*.py")])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Config]:
    """The config of a method at scale tiny, with frames of two patients."""
    work = tmp_path_factory.mktemp("probe")

    def make(recipe: Path) -> Config:
        config = load_config(recipe, "tiny")
        fill_paths(config, work)
        prepare(config, work)
        return config

    return make


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_method(tiny, recipe):
    parts = assemble(tiny(recipe))
    method = parts.method.train()
    before = {key: value.clone() for key, value in method.state_dict().items()}
    modes = [module.training for module in method.modules()]
    generator = torch.get_rng_state()
    with evaluating(method):
        encoder = exported_encoder(method)
        size, stride = encoder.img_size, encoder.strides[-1]
        rows = choose_frames(parts.packs, 8)
        found = probe(encoder, *(read_frames(parts.packs, r, size, stride) for r in rows), 1.0, 20)
    assert 0 < found.average_precision <= 100
    assert torch.equal(torch.get_rng_state(), generator)
    assert [module.training for module in method.modules()] == modes
    after = method.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())

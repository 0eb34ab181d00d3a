"""Small cells of the representation analysis."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.data.tasks import TaskFolder
from benchmark.downstream.cell import BenchmarkCell
from benchmark.downstream.frozen.compose import compose_representation
from benchmark.method_cards import CONFIGS

QUICK = ("test_pipeline.1.scale=(64,64)", "tsne.iterations=250", "probe.folds=2")


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory, export_vit: Callable[..., Path]) -> Path:
    """A ViT of random weights, with 64 patches of 8² per frame."""
    return export_vit(tmp_path_factory.mktemp("runs") / "mae" / "pretrain", patch_size=8)


@pytest.fixture
def make_cell(encoder: Path, vessels: TaskFolder, tmp_path: Path) -> Callable[..., BenchmarkCell]:
    """Make a cell of `encoder` on the 4 training frames of `vessels`; options override."""

    def make(*options: str, seed: int = 0) -> BenchmarkCell:
        config, card = compose_representation(
            CONFIGS, encoder, "synthetic_v", "tiny", [*QUICK, *options], tmp_path
        )
        config.data.folder = str(vessels.path)
        config.seed = seed
        folder = tmp_path / "cell" / f"seed{seed}"
        return BenchmarkCell(config, card, "vessels-patches", seed, folder, tmp_path / "results")

    return make

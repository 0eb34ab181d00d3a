"""Small cells of a frozen encoder's evaluation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.data.tasks import TaskFolder
from benchmark.downstream.cell import BenchmarkCell
from benchmark.downstream.frozen.compose import compose_frozen
from benchmark.downstream.frozen.preview import settings_of
from benchmark.method_cards import CONFIGS
from benchmark.nn.vit import VisionTransformer

QUICK = {"linear": ("steps=20",), "knn": ("neighbours=5",)}


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory, export_vit: Callable[..., Path]) -> Path:
    """A ViT of random weights, with 64 patches of 8² per frame."""
    return export_vit(tmp_path_factory.mktemp("runs") / "mae" / "pretrain", patch_size=8)


@pytest.fixture
def features(tmp_path: Path) -> Path:
    """The folder of the cached features."""
    return tmp_path / "features"


@pytest.fixture
def make_cell(encoder: Path, vessels: TaskFolder, tmp_path: Path) -> Callable[..., BenchmarkCell]:
    """Make a cell of `encoder` on `vessels`, with 4 training and 2 test frames."""

    def make(kind: str, *options: str, seed: int = 0) -> BenchmarkCell:
        options = ("test_pipeline.1.scale=(64,64)", *QUICK[kind], *options)
        config, card = compose_frozen(
            settings_of(kind, CONFIGS), CONFIGS, encoder, "synthetic_v", "tiny", options, tmp_path
        )
        config.data.folder = str(vessels.path)
        config.seed = seed
        folder = tmp_path / "cell" / kind / f"seed{seed}"
        return BenchmarkCell(config, card, f"vessels-{kind}", seed, folder, tmp_path / "results")

    return make


@pytest.fixture
def encoded_frames(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collects how many frames each pass through an encoder has had."""
    passes: list[int] = []
    usual = VisionTransformer.feature_maps

    def feature_maps(self, images, *rest, **named):
        passes.append(len(images))
        return usual(self, images, *rest, **named)

    monkeypatch.setattr(VisionTransformer, "feature_maps", feature_maps)
    return passes

"""A small prepared denoising task, and the configs of the tiny scale at 64²."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config

from benchmark.data.sources import open_source
from benchmark.data.tasks import TaskFolder, write_task_folder
from benchmark.downstream.cell import BenchmarkCell
from benchmark.downstream.compose import compose
from benchmark.method_cards import CONFIGS

SIZES = ("model.window=64", "train_pipeline.0.size=64")


@pytest.fixture(scope="session")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> TaskFolder:
    """Two patients to train on and one to test on, three frames of 80² each, one a dose level."""
    source = open_source("synthetic", patients=3, videos=1, frames=9, size=80)
    out = tmp_path_factory.mktemp("task") / "noisy"
    return write_task_folder(source, out, "denoising", "noisy", frames_per_group=3, progress=False)


@pytest.fixture(scope="session")
def denoising_config() -> Callable[..., Config]:
    """The composed config of a method; `options` come on top."""

    def make(work: Path, method: str = "mae", *options: str) -> Config:
        sizes = {"mae": SIZES, "dncnn": SIZES[1:]}.get(method, ())
        return compose(CONFIGS, method, "synthetic_n", "tiny", [*sizes, *options], work)[0]

    return make


@pytest.fixture(scope="session")
def denoising_cell(
    noisy: TaskFolder, compose_cell: Callable[..., BenchmarkCell]
) -> Callable[..., BenchmarkCell]:
    """A cell of two epochs on `noisy`; `options` come on top."""

    def make(work: Path, method: str = "mae", options: tuple[str, ...] = ()) -> BenchmarkCell:
        sizes = {"mae": SIZES, "dncnn": SIZES[1:]}.get(method, ())
        small = ("epochs=2", "batch_size=2", "checkpoint_interval=1", "log_interval=1")
        small += ("keep_checkpoints=1",)
        settings = [*small, *sizes, f"data.folder={noisy.path}", *options]
        return compose_cell(work, method, "synthetic_n", settings)

    return make

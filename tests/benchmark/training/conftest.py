"""A run of MAE in nine steps, with which those that are killed or resumed are compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from child_runs import finish
from mmengine.config import Config

from benchmark.training.train import train

Configs = Callable[..., Config]


@pytest.fixture(scope="session")
def config(small_config: Configs) -> Configs:
    """Three steps per epoch and a line every two: epochs and lines end at different steps."""
    return lambda *options: small_config("mae", "num_threads=1", "log_interval=2", *options)


@pytest.fixture(scope="session")
def reference(config: Configs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run, not to be written to."""
    folder = tmp_path_factory.mktemp("reference")
    # What it imports and sets up is there in all children.
    train(config("epochs=1"), folder / "warm", "warm", resume=False, overwrite=False)
    assert finish(config(), folder / "run") == 0
    return folder / "run"

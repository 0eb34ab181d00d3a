"""What a measurement writes, and steps that take a moment."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.method_cards import CONFIGS
from benchmark.speed.steps import StepTiming


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], list[dict[str, str]]]:
    """The rows of the only CSV file in the folder, whose name starts as given."""

    def read(name: str) -> list[dict[str, str]]:
        (file,) = tmp_path.glob("*.csv")
        assert file.name.startswith(name)
        with file.open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))

    return read


@pytest.fixture
def trial(tmp_path: Path) -> Callable[..., StepTiming]:
    """Make a measurement of one or two steps on frames of 64²."""
    sizes = dict(configs=CONFIGS, scale="tiny", batch=2, frames=4, size=64, repeats=1, threads=1)
    return lambda **more: StepTiming(**{**sizes, "out": tmp_path, **more})

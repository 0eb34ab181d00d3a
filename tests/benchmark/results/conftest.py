"""A record of two images, and a helper to edit record files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from record_values import metric, record_values

from benchmark.results import Example, RunRecord, config_hash, write_record
from benchmark.schemas import validate

CONFIG = {"lr": 2e-4, "epochs": 100, "work_dir": "/somewhere", "seed": 0}
DSC = [79.123456789012345, 81.0]


def make_record(**changes: Any) -> RunRecord:
    values = {
        "method": "vasomim",
        "title": "VasoMIM",
        "family": "Medical SSL",
        "corpus_hash": "c0de",
        "metrics": {"dsc": metric(sum(DSC) / 2, "dsc/per-image-mean/empty=1/v1")},
        "n_images": 2,
        "config": CONFIG,
        "config_hash": config_hash(CONFIG),
        "seeds": {"init": 0, "order": 0},
        "versions": {"python": "3.11.7"},
        "wall_time_s": 12.5,
        "started": "2025-01-02T03:00:00+00:00",
        "finished": "2025-01-02T03:04:05+00:00",
        "processes": 1,
        "precision": "fp32",
        "skipped_steps": 0,
        "command": "finetune.py --method vasomim --dataset arcade_v",
        "encoder": {"fingerprint": "f1", "weights_sha256": None, "provenance": {"run": "p1"}},
        "git": {"commit": "abc", "dirty": False},
    }
    return validate(RunRecord, record_values(**{**values, **changes}), "seed0.json")


@pytest.fixture(name="make_record")
def _make_record() -> Callable[..., RunRecord]:
    return make_record


@pytest.fixture
def scores() -> pd.DataFrame:
    """What `make_record` was measured on."""
    return pd.DataFrame({"image": ["a", "b"], "patient": ["p1", "p1"], "dsc": DSC})


@pytest.fixture
def write(tmp_path: Path, scores: pd.DataFrame) -> Callable[..., Path]:
    """Writes the record of `make_record` with these changes; its path."""

    def written(
        *,
        folder: Path | str = "",
        scores: pd.DataFrame = scores,
        examples: Any = (),
        **changes: Any,
    ) -> Path:
        return write_record(tmp_path / folder, make_record(**changes), scores, examples)

    return written


@pytest.fixture
def examples() -> list[Example]:
    """The two images, of different sizes."""
    rng = np.random.default_rng(0)
    sizes = {"a": (5, 7), "b": (6, 4)}
    return [
        Example(
            name,
            rng.integers(0, 256, size, np.uint8),
            rng.integers(0, 2, size, np.uint8),
            rng.integers(0, 2, size, np.uint8),
        )
        for name, size in sizes.items()
    ]


@pytest.fixture
def edit() -> Callable[..., None]:
    """Change keys of a record file by hand."""

    def change(path: Path, **changes: Any) -> None:
        data = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**data, **changes}), encoding="utf-8")

    return change

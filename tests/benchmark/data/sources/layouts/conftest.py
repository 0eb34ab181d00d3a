"""Writing a small labelled dataset, and preparing it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from benchmark.data.sources import open_source
from benchmark.data.tasks import TaskFolder, write_task_folder


@pytest.fixture
def prepare(tmp_path: Path) -> Callable[..., TaskFolder]:
    """The task folder of ``tmp_path/raw``: ``prepare(kind, **options)``."""

    def prepare(kind: str, source: str = "paired", **options: str | float) -> TaskFolder:
        opened = open_source(source, tmp_path / "raw", form=kind, **options)
        out = tmp_path / f"task{len(list(tmp_path.iterdir()))}"
        return write_task_folder(opened, out, kind, progress=False)

    return prepare


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., object]:
    """The source paired on ``tmp_path/raw``, with options."""
    return partial(open_source, "paired", tmp_path / "raw")

"""Checking prepared data before training: decoding, hashes, annotations and splits."""

from __future__ import annotations

import os
from pathlib import Path

from benchmark.data.checks.findings import Findings
from benchmark.data.checks.packs import check_pack
from benchmark.data.checks.tasks import check_task
from benchmark.data.packs.layout import FRAMES

__all__ = ["Findings", "check_data", "check_pack", "check_task"]


def check_data(path: str | os.PathLike[str], progress: bool = True) -> Findings:
    """Check a pack or a task folder; `InputError` where it is neither, or incomplete."""
    check = check_pack if (Path(path) / FRAMES).is_file() else check_task
    return check(path, progress)

"""The table of `--scale`, read from `configs/_base_/scales.py` without importing a library."""

from __future__ import annotations

import runpy
from typing import Any

from benchmark.method_cards import CONFIGS

SCALES: dict[str, dict[str, dict[str, Any]]] = runpy.run_path(
    str(CONFIGS / "_base_" / "scales.py")
)["scales"]
"""Scale → ``pretrain``, ``finetune`` and ``parts`` → what is swapped in."""

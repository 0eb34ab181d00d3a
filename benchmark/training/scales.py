"""The table of `--scale`, read from `configs/_base_/scales.py` without importing a library."""

from __future__ import annotations

import runpy
from typing import Any

from benchmark.method_cards import CONFIGS

Sizes = dict[str, Any]


def _with_sizes_of(scale: Sizes, other: Sizes) -> Sizes:
    """A scale on top of the one that it is derived from."""
    parts = {**other["parts"]}
    for name, arguments in scale["parts"].items():
        parts[name] = {**parts.get(name, {}), **arguments}
    kinds = {kind: {**other[kind], **scale[kind]} for kind in ("pretrain", "finetune")}
    return {**scale, **kinds, "parts": parts}


_TABLE: dict[str, Sizes] = runpy.run_path(str(CONFIGS / "_base_" / "scales.py"))["scales"]
SCALES = {
    name: _with_sizes_of(scale, _TABLE[scale["of"]]) if "of" in scale else scale
    for name, scale in _TABLE.items()
}
"""Scale → ``pretrain``, ``finetune`` and ``parts`` → what is swapped in; ``of``, another scale."""

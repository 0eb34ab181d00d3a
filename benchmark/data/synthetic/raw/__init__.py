"""Synthetic angiograms in the raw layout of each public dataset, with its known defects planted.

Every reader can so be tried end to end without a download, and tested with exact counts.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from benchmark.data.sources.files import one_of
from benchmark.data.synthetic.raw.layout import Canvas, RawLayout
from benchmark.errors import InputError

LAYOUTS: dict[str, Callable[[Canvas], RawLayout]] = {}


def write_raw(
    dataset: str,
    out: str | os.PathLike[str],
    seed: int = 0,
    size: int = 96,
    defects: bool = True,
) -> RawLayout:
    """Write synthetic frames in the raw layout of a dataset.

    Args:
        dataset: a key of `LAYOUTS`.
        out: folder to write, absent or empty.
        seed: of the synthetic population.
        size: side of the frames in pixels.
        defects: plant the defects the real download is known to have.

    Raises:
        InputError: an unknown dataset, or `out` holds something.
    """
    write = LAYOUTS[one_of("dataset", dataset, LAYOUTS)]
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: not an empty folder")
    return write(Canvas(out, seed, size, defects))


__all__ = ["LAYOUTS", "Canvas", "RawLayout", "write_raw"]

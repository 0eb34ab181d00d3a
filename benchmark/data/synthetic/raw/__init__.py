"""Synthetic angiograms in the raw layout of each public dataset, with its known defects planted.

This allows running every reader end to end without a download, and testing it with exact counts.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmark.data.synthetic.raw.arcade import write_arcade, write_arcade_challenge
from benchmark.data.synthetic.raw.cadica import write_cadica
from benchmark.data.synthetic.raw.caxf import write_caxf
from benchmark.data.synthetic.raw.coronary_dominance import write_coronary_dominance
from benchmark.data.synthetic.raw.dca1 import write_dca1
from benchmark.data.synthetic.raw.folder import write_folder
from benchmark.data.synthetic.raw.layout import Canvas, RawLayout
from benchmark.data.synthetic.raw.stenosis import write_stenosis
from benchmark.data.synthetic.raw.syntax import write_syntax
from benchmark.data.synthetic.raw.xa170k import write_xa170k
from benchmark.data.synthetic.raw.xcad import write_xcad
from benchmark.data.synthetic.raw.xcav import write_xcav
from benchmark.errors import one_of
from benchmark.locking import new_folder

LAYOUTS: dict[str, Callable[[Canvas], RawLayout]] = {
    "arcade": write_arcade,
    "arcade_challenge": write_arcade_challenge,
    "cadica": write_cadica,
    "caxf": write_caxf,
    "coronary_dominance": write_coronary_dominance,
    "dca1": write_dca1,
    "folder": write_folder,
    "stenosis": write_stenosis,
    "syntax": write_syntax,
    "xa170k": write_xa170k,
    "xcad": write_xcad,
    "xcav": write_xcav,
}


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
        defects: whether to plant the known defects of the real download.

    Raises:
        InputError: an unknown dataset; `out` is not empty, or is being written by another process.
    """
    write = LAYOUTS[one_of("dataset", dataset, LAYOUTS)]
    out = Path(out)
    written: list[str] = []
    with new_folder(out, written) as partial:
        layout = write(Canvas(partial, seed, size, defects, written))
    return replace(layout, root=out)


__all__ = ["LAYOUTS", "Canvas", "RawLayout", "write_raw"]

"""Synthetic angiograms in the raw layout of each public dataset, with its known defects planted.

This allows running every reader end to end without a download, and testing it with exact counts.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmark.data.synthetic.raw.arcade import CHALLENGE, write_arcade
from benchmark.data.synthetic.raw.cadica import write_cadica
from benchmark.data.synthetic.raw.coronary_dominance import write_coronary_dominance
from benchmark.data.synthetic.raw.dataset import RawDataset
from benchmark.data.synthetic.raw.folder import write_folder
from benchmark.data.synthetic.raw.pairs import write_caxf, write_dca1, write_xcad
from benchmark.data.synthetic.raw.stenosis import write_stenosis
from benchmark.data.synthetic.raw.syntax import write_syntax
from benchmark.data.synthetic.raw.xa20k import write_xa20k
from benchmark.data.synthetic.raw.xa170k import write_xa170k
from benchmark.data.synthetic.raw.xcav import write_xcav
from benchmark.errors import one_of
from benchmark.files.locking import new_folder

LAYOUTS: dict[str, Callable[[RawDataset], None]] = {
    "arcade": write_arcade,
    "arcade_challenge": partial(write_arcade, places=CHALLENGE),
    "cadica": write_cadica,
    "caxf": write_caxf,
    "coronary_dominance": write_coronary_dominance,
    "dca1": write_dca1,
    "folder": write_folder,
    "stenosis": write_stenosis,
    "syntax": write_syntax,
    "xa20k": write_xa20k,
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
) -> RawDataset:
    """Write synthetic frames in the raw layout of a dataset, a key of `LAYOUTS`.

    The other arguments are those of `RawDataset`; `out` must be absent or empty.

    Raises:
        InputError: an unknown dataset; `out` is not empty, or is being written by another process.
    """
    write = LAYOUTS[one_of("dataset", dataset, LAYOUTS)]
    out = Path(out)
    written: list[str] = []
    with new_folder(out, written) as unfinished:
        raw = RawDataset(unfinished, seed, size, defects, written=written)
        write(raw)
    return replace(raw, root=out)


__all__ = ["LAYOUTS", "RawDataset", "write_raw"]

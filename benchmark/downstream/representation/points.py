"""The projected patches of an analysis: what its scatter plot shows."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.errors import InputError
from benchmark.files import atomic_write, read_regular

_FILE = "points.npz"


@dataclass(frozen=True, eq=False)
class PatchPoints:
    """n projected patches.

    Attributes:
        points: float32, n×2.
        vessel: bool, n.
    """

    points: np.ndarray
    vessel: np.ndarray


def write_points(folder: Path, points: PatchPoints, identity: str) -> None:
    """Write the points into the folder of a cell, atomically; equal points give equal bytes.

    Args:
        identity: what they depend on, see `read_points`.
    """
    with atomic_write(folder / _FILE) as stream:
        arrays = {"points": points.points, "vessel": points.vessel}
        np.savez_compressed(stream, **arrays, identity=np.array(identity))


def read_points(folder: Path, identity: str) -> PatchPoints | None:
    """The points of a cell; None if there are none, or they were written with another identity.

    Raises:
        InputError: the file is damaged.
    """
    path = folder / _FILE
    if not path.exists():
        return None
    try:
        with np.load(io.BytesIO(read_regular(path)), allow_pickle=False) as content:
            if str(content["identity"]) != identity:
                return None
            return PatchPoints(content["points"], content["vessel"])
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not the points that were written ({error}); delete it") from None

"""Extracting the vessel masks of a pack (`tools/extract_anatomy.py`)."""

from __future__ import annotations

import time

import numpy as np
import torch

from benchmark.anatomy.extraction import vessel_mask
from benchmark.data.packs import FramePack, add_anatomy
from benchmark.device import device as choose_device
from benchmark.errors import InputError


def extract(
    pack: str,
    kind: str = "sato",
    alpha: float = 92.0,
    border: int = 20,
    batch: int = 16,
    overwrite: bool = False,
) -> str:
    """Extract the vessel masks of a pack (`vessel_mask`) and store them in it.

    Returns:
        One line of summary, which also says if the masks existed already.

    Raises:
        InputError: the folder is not a pack, a parameter is out of range, or the pack holds masks
            extracted with other parameters and `overwrite` is False.
    """
    if not 0 <= alpha <= 100:
        raise InputError(f"--alpha {alpha}: a percentile is between 0 and 100")
    if border < 0:
        raise InputError(f"--border {border}: must not be negative")
    device = choose_device()

    def compute(frames: np.ndarray, valid: np.ndarray) -> np.ndarray:
        on_device = torch.from_numpy(frames).to(device)
        return vessel_mask(on_device, kind, alpha, border, torch.from_numpy(valid)).cpu().numpy()

    parameters = {"vesselness": kind, "alpha": alpha, "border": border}
    before = FramePack.open(pack).manifest.get("anatomy", {})
    start = time.perf_counter()
    done = add_anatomy(pack, compute, parameters, batch=batch, overwrite=overwrite)
    seconds = time.perf_counter() - start
    how = f"in {seconds:.1f} s"
    if before.get("parameters") == parameters:
        how = "were extracted before; nothing to do"
    fraction, empty = _vessel_fraction(done)
    return (
        f"{pack}: vessels of {len(done)} frames ({kind}, α = {alpha:g}, border {border} px) "
        f"{how}; {100 * fraction:.1f} % of the pixels, {empty} frames without any"
    )


def _vessel_fraction(pack: FramePack) -> tuple[float, int]:
    """Mean fraction of vessel pixels in the valid area, and the number of frames without any."""
    counts = np.array([np.bitwise_count(bits).sum(dtype=np.int64) for bits in pack.anatomy])
    return float((counts / pack.valid.prod(axis=1)).mean()), int((counts == 0).sum())

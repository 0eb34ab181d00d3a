"""Scores of denoised frames (`docs/protocol.md`), and their mmengine metric."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from benchmark.data.tasks import TaskFolder
from benchmark.downstream.denoising.dataset import read_pair
from benchmark.downstream.examples import save_picture
from benchmark.downstream.task import TaskMetric
from benchmark.errors import InputError

MAX_PSNR = 100.0
"""PSNR (dB) of an identical picture. An error of one grey level in one pixel of 512² is 102 dB."""

_KINDS = {
    "psnr": "psnr/per-image-mean/8-bit/at-most-100-dB",
    "ssim": "ssim/per-image-mean/8-bit/uniform-7x7",
}
_INPUT = "input"


def definitions(levels: Sequence[int] = ()) -> dict[str, str]:
    """Definition ids, part of every result: numbers with other definitions never share a column.

    Args:
        levels: dose levels of the split; each has numbers of its own.
    """
    found = {}
    for part in ("", _INPUT, *(f"level{level}" for level in levels)):
        for name, kind in _KINDS.items():
            key, subset = (f"{name}_{part}", f"{kind}/{part}") if part else (name, kind)
            found[key] = f"{subset}/native-size/v1"
    return found


def psnr(picture: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB, 10·log10(255² / MSE), at most `MAX_PSNR`.

    That of an identical picture would be infinite, and could not be averaged.

    Args:
        picture, truth: uint8, H×W.
    """
    if np.array_equal(picture, truth):
        return MAX_PSNR
    return min(float(peak_signal_noise_ratio(truth, picture, data_range=255)), MAX_PSNR)


def ssim(picture: np.ndarray, truth: np.ndarray) -> float:
    """Structural similarity (Wang et al., TIP 2004), at most 1, as scikit-image computes it.

    Its defaults: means over windows of 7×7 pixels with equal weight, K1 = 0.01, K2 = 0.03.

    Args:
        picture, truth: uint8, H×W, at least 7×7 pixels.
    """
    return float(structural_similarity(truth, picture, data_range=255))


class DenoisingMetric(TaskMetric):
    """PSNR in dB and SSIM in percent of every image at native size, and their means.

    The degraded frames are scored too (`psnr_input`, `ssim_input`), as the result of not denoising,
    and so are the frames of each dose level on their own.

    Args:
        folder: the task; clean and degraded frames are read from it.
        predictions: folder for the denoised frames (8-bit PNG).
        split: split of the clean frames.
    """

    def __init__(self, folder: TaskFolder, predictions: Path, split: str = "test") -> None:
        super().__init__(predictions)
        self.folder = folder
        self.split = split
        self.level_of = {
            item["stem"]: item["level"] for item in folder.splits[split] if "level" in item
        }

    def definitions(self) -> dict[str, str]:
        return definitions(sorted(set(self.level_of.values())))

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        for sample in data_samples:
            stem = sample["stem"]
            denoised = sample["denoised"][0].cpu().numpy()
            pair = read_pair(self.folder, self.split, stem)
            degraded, clean = pair[..., 0], pair[..., 1]
            if denoised.shape != clean.shape:
                raise InputError(
                    f"{stem}: denoised at {denoised.shape}, but its clean frame has {clean.shape}; "
                    "test_pipeline must keep the native size"
                )
            save_picture(self.predictions / f"{stem}.png", denoised)
            row = {
                "image": stem,
                "psnr": psnr(denoised, clean),
                "ssim": 100 * ssim(denoised, clean),
                f"psnr_{_INPUT}": psnr(degraded, clean),
                f"ssim_{_INPUT}": 100 * ssim(degraded, clean),
            }
            if stem in self.level_of:
                row["level"] = self.level_of[stem]
            self.results.append(row)

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        self.scores = pd.DataFrame(results)
        names = [*_KINDS, *(f"{name}_{_INPUT}" for name in _KINDS)]
        found = {name: float(self.scores[name].mean()) for name in names}
        if self.level_of:
            for level, rows in self.scores.groupby("level"):
                found |= {f"{name}_level{level}": float(rows[name].mean()) for name in _KINDS}
        return found

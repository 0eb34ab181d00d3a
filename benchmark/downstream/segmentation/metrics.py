"""Scores of vessel masks, per image (`docs/protocol.md`), and their mmengine metric."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mmengine.evaluator import BaseMetric
from PIL import Image
from skimage.morphology import skeletonize

from benchmark.files import atomic_write

# Definition ids, part of every result: numbers of other definitions never share a column.
DEFINITIONS = {
    "dsc": "dsc/per-image-mean/empty=1/native-size/v1",
    "cldice": "cldice/per-image-mean/skeletonize-zhang/empty=1/native-size/v1",
}


def _binary(mask: np.ndarray) -> np.ndarray:
    # Not astype(bool): what numpy makes of a 1-bit PNG is bool already, but with 255 as its True,
    # and scikit-image's thinning reads beyond its table then.
    return mask != 0


def dice_score(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Dice similarity coefficient of two binary masks, in [0, 1]; 1 if both are empty."""
    prediction, truth = _binary(prediction), _binary(truth)
    total = int(prediction.sum()) + int(truth.sum())
    return 2 * int((prediction & truth).sum()) / total if total else 1.0


def centreline_dice(prediction: np.ndarray, truth: np.ndarray) -> float:
    """clDice (Shit et al., CVPR 2021) of two binary masks, in [0, 1].

    The harmonic mean of the share of the predicted skeleton inside the truth and of the true
    skeleton inside the prediction. 1 if both masks are empty, 0 if exactly one is.
    """
    prediction, truth = _binary(prediction), _binary(truth)
    if not prediction.any() or not truth.any():
        return float(not prediction.any() and not truth.any())
    predicted_line, true_line = skeletonize(prediction), skeletonize(truth)
    precision = (predicted_line & truth).sum() / predicted_line.sum()
    sensitivity = (true_line & prediction).sum() / true_line.sum()
    total = precision + sensitivity
    return float(2 * precision * sensitivity / total) if total else 0.0


class VesselMetric(BaseMetric):
    """DSC and clDice of every image at its native size, in percent.

    Args:
        predictions: folder for the predicted masks (1-bit PNG), or None.
    """

    # No prefix: the names of the record are those of `DEFINITIONS`.
    default_prefix = ""

    def __init__(self, predictions: Path | None = None) -> None:
        super().__init__(collect_device="cpu")
        self.predictions = predictions
        self.scores = pd.DataFrame()

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        for sample in data_samples:
            prediction = sample["pred_sem_seg"]["data"][0].cpu().numpy() > 0
            path = Path(sample["seg_map_path"])
            truth = np.asarray(Image.open(path)) > 0
            if self.predictions is not None:
                with atomic_write(self.predictions / path.name) as stream:
                    Image.fromarray(prediction).save(stream, format="PNG")
            self.results.append(
                {
                    "image": path.stem,
                    "dsc": 100 * dice_score(prediction, truth),
                    "cldice": 100 * centreline_dice(prediction, truth),
                }
            )

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        self.scores = pd.DataFrame(results)
        return {name: float(self.scores[name].mean()) for name in DEFINITIONS}

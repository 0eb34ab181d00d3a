"""Scores of segmentations (`docs/protocol.md`), and their mmengine metric."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from skimage.morphology import skeletonize
from torch import Tensor

from benchmark.data.tasks import TaskFolder
from benchmark.downstream.examples import save_picture
from benchmark.downstream.segmentation.calibration import Calibration
from benchmark.downstream.segmentation.ranking import PixelRanking
from benchmark.downstream.task import TaskMetric

BINARY = {
    "dsc": "dsc/per-image-mean/empty=1",
    "cldice": "cldice/per-image-mean/skeletonize-zhang/empty=1",
    "dsc_nonempty": "dsc/per-image-mean/non-empty-truth-only",
    "dsc_dataset": "dsc/pooled-over-all-pixels",
}
SEVERAL = {
    "dsc": "dsc/per-image-mean/classes-pooled/empty=1",
    "dsc_nonempty": "dsc/per-image-mean/classes-pooled/non-empty-truth-only",
    "dsc_dataset": "dsc/pooled-over-all-pixels-and-classes",
    "dsc_present": "dsc/mean-over-classes-of-the-truth/then-images",
    "dsc_macro": "dsc/pooled-over-all-pixels/mean-over-classes-with-truth",
}
"""Where there are several classes. ``dsc`` is CheXWorld's: all channels of an image at once."""

_CLASS = "dsc_class"


_OfPixels = type[Calibration] | type[PixelRanking]


def definitions(
    classes: Sequence[str], at: str = "native", of_pixels: Sequence[_OfPixels] = (Calibration,)
) -> dict[str, str]:
    """Definition ids, part of every result: numbers with other definitions never share a column.

    Args:
        classes: names without the background.
        at: ``"native"`` or ``"network"``, the size at which masks are compared.
        of_pixels: how probabilities are scored.
    """
    if len(classes) == 1:
        found = dict(BINARY)
    else:
        each = {f"{_CLASS}_{name}": f"dsc/pooled-over-all-pixels/class-{name}" for name in classes}
        found = {**SEVERAL, **each}
    for one in of_pixels:
        found |= one.definitions(len(classes))
    return {name: f"{definition}/{at}-size/v1" for name, definition in found.items()}


def dice_of_counts(overlap: np.ndarray | int, total: np.ndarray | int) -> Any:
    """2·|P∩T| / (|P| + |T|) from `overlap` = |P∩T| and `total` = |P| + |T|; 1 where total is 0."""
    overlap, total = np.asarray(overlap, float), np.asarray(total, float)
    return np.where(total > 0, 2 * overlap / np.maximum(total, 1), 1.0)


def centreline_dice(prediction: np.ndarray, truth: np.ndarray) -> float:
    """clDice (Shit et al., CVPR 2021) of two binary masks, in [0, 1].

    The harmonic mean of the share of the predicted skeleton inside the truth and of the true
    skeleton inside the prediction. 1 if both masks are empty, 0 if exactly one is.
    """
    # Not astype(bool): a 1-bit PNG read by numpy is bool already, but stores True as 255, with
    # which scikit-image's thinning reads beyond its table.
    prediction, truth = prediction != 0, truth != 0
    if not prediction.any() or not truth.any():
        return float(not prediction.any() and not truth.any())
    predicted_line, true_line = skeletonize(prediction), skeletonize(truth)
    precision = (predicted_line & truth).sum() / predicted_line.sum()
    sensitivity = (true_line & prediction).sum() / true_line.sum()
    total = precision + sensitivity
    return float(2 * precision * sensitivity / total) if total else 0.0


def predicted_masks(sample: dict[str, Any], classes: int) -> np.ndarray:
    """The masks in a segmentor's output for an image, bool classes×H×W.

    With several classes, each is predicted where the sigmoid of its logit is above 1/2, so they may
    overlap. A model with one more channel, for the background, predicts one label per pixel.
    """
    if classes == 1:
        return sample["pred_sem_seg"]["data"].cpu().numpy() > 0
    logits = sample["seg_logits"]["data"]
    if len(logits) == classes + 1:
        labels = sample["pred_sem_seg"]["data"].cpu().numpy()
        return labels == np.arange(1, len(logits))[:, None, None]
    return (logits.float().sigmoid() > 0.5).cpu().numpy()


def predicted_probabilities(sample: dict[str, Any], classes: int) -> np.ndarray | None:
    """The probabilities that a segmentor predicts for an image, in [0, 1], float32 classes×H×W.

    None for a filter, which has none.
    """
    if "seg_logits" not in sample:
        return None
    outputs = sample["seg_logits"]["data"].float()
    if len(outputs) > 1:  # mmsegmentation has taken the sigmoid of a single channel
        outputs = class_probabilities(outputs, classes)
    return outputs.cpu().numpy()


def class_probabilities(logits: Tensor, classes: int, dim: int = 0) -> Tensor:
    """The probabilities of the classes without the background, in [0, 1].

    Args:
        logits: along `dim` one for each class, of which a sigmoid is taken; or one more, the first,
            for the background, and a softmax of all (one label per pixel).
    """
    if logits.shape[dim] == classes + 1:
        return logits.softmax(dim).narrow(dim, 1, classes)
    return logits.sigmoid()


def label_picture(masks: np.ndarray) -> np.ndarray:
    """Masks bool C×H×W as labels uint8 H×W: 0 background, k class k, the last where they overlap.

    A single mask stays bool.
    """
    if len(masks) == 1:
        return masks[0]
    picture = np.zeros(masks.shape[1:], np.uint8)
    for label, mask in enumerate(masks, start=1):
        picture[mask] = label
    return picture


class SegmentationMetric(TaskMetric):
    """Scores of every image and of the complete split, in percent.

    Several classes are compared channel by channel, so that overlaps count (`predicted_masks`).
    Probabilities are scored at the size of the masks; for a filter, which has none, these scores
    are NaN.

    Args:
        folder: the task; its truth is read at native size.
        predictions: folder for the predicted masks (1-bit PNG; 8-bit labels with several classes,
            the last one where they overlap).
        at: ``"native"``, or ``"network"`` where the truth is resized to the prediction by nearest
            neighbour instead.
        split: split of the truth.
        of_pixels: how probabilities are scored: `Calibration`, `PixelRanking`.
    """

    lower_is_better = frozenset({"ece", "brier"})

    def __init__(
        self,
        folder: TaskFolder,
        predictions: Path,
        at: str = "native",
        split: str = "test",
        of_pixels: Sequence[_OfPixels] = (Calibration,),
    ) -> None:
        super().__init__(predictions)
        self.folder = folder
        self.at = at
        self.split = split
        self.of_pixels = of_pixels
        self.classes = folder.classes[1:]

    def definitions(self) -> dict[str, str]:
        return definitions(self.classes, self.at, self.of_pixels)

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        for sample in data_samples:
            stem = Path(sample["img_path"]).stem
            prediction = predicted_masks(sample, len(self.classes))
            truth = self.read_truth(stem, prediction.shape[1:])
            save_picture(self.predictions / f"{stem}.png", label_picture(prediction))
            probabilities = predicted_probabilities(sample, len(self.classes))
            row = self._row(stem, prediction, truth)
            if probabilities is not None:
                row["of_pixels"] = [one.of(probabilities, truth) for one in self.of_pixels]
            self.results.append(row)

    def read_truth(self, stem: str, size: tuple[int, int]) -> np.ndarray:
        """What a prediction of this size is compared with, bool classes×H×W."""
        truth = self.folder.channels(self.split, stem)
        return _nearest(truth, size) if self.at == "network" else truth

    def _row(self, stem: str, prediction: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
        """Scores of one image, and the pixel counts that scores of the split are made of."""
        overlap = (prediction & truth).sum(axis=(1, 2))
        total = prediction.sum(axis=(1, 2)) + truth.sum(axis=(1, 2))
        present = truth.any(axis=(1, 2))
        row = {
            "image": stem,
            "dsc": 100 * float(dice_of_counts(overlap.sum(), total.sum())),
            "overlap": overlap,
            "total": total,
            "present": present,
        }
        if len(self.classes) == 1:
            row["cldice"] = 100 * centreline_dice(prediction[0], truth[0])
        elif present.any():
            row["dsc_present"] = 100 * float(dice_of_counts(overlap, total)[present].mean())
        else:
            row["dsc_present"] = float("nan")
        return row

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        overlap, total, present = (
            np.stack([row.pop(name) for row in results]) for name in ("overlap", "total", "present")
        )
        of_pixels = [sums for row in results if (sums := row.pop("of_pixels", None)) is not None]
        shown = pd.DataFrame(results)
        shown["non_empty"] = present.any(axis=1)
        self.scores = shown
        found = {
            "dsc": float(shown["dsc"].mean()),
            "dsc_nonempty": float(shown.loc[shown["non_empty"], "dsc"].mean()),
            "dsc_dataset": 100 * float(dice_of_counts(overlap.sum(), total.sum())),
        }
        for name in ("cldice", "dsc_present"):
            if name in shown:
                found[name] = float(shown[name].mean())
        if len(self.classes) > 1:
            per_class = 100 * dice_of_counts(overlap.sum(axis=0), total.sum(axis=0))
            known = present.any(axis=0)
            found["dsc_macro"] = float(per_class[known].mean()) if known.any() else float("nan")
            for name, value, there in zip(self.classes, per_class, known):
                found[f"{_CLASS}_{name}"] = float(value) if there else float("nan")
        for kind in self.of_pixels:
            found |= dict.fromkeys(kind.definitions(len(self.classes)), float("nan"))
        for first, *others in zip(*of_pixels):
            found |= sum(others, first).scores
            for name in first.scores:
                shown[name] = [one.scores[name] for one in (first, *others)]
        return found


def _nearest(masks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bool C×H×W at another size: the pixel in whose area the centre of the new one lies."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int) for new, old in zip(size, masks.shape[1:])
    )
    return masks[:, rows[:, None], columns]

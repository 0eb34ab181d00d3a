"""COCO's average precision, for a dataset and for each of its images (`docs/protocol.md`)."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from benchmark.downstream.task import TaskMetric
from benchmark.errors import InputError
from benchmark.files import read_json, write_json

MAX_DETECTIONS = 100
# Definition ids, part of every result: numbers with other definitions never share a column.
DEFINITIONS = {
    name: f"coco-ap/bbox/iou={iou}/maxdets={MAX_DETECTIONS}/area=all/native-size/v1"
    for name, iou in (("map50", "0.50"), ("map75", "0.75"), ("map", "0.50:0.95"))
}
# Rows of COCO's ten IoU thresholds 0.50, 0.55 … 0.95 that belong to each.
_THRESHOLDS = {"map50": slice(0, 1), "map75": slice(5, 6), "map": slice(0, 10)}
_RECALLS = np.linspace(0, 1, 101)

Detections = list[dict[str, Any]]
"""In COCO's format of results: `image_id`, `category_id`, `bbox` (x, y, width, height), `score`."""


def _quietly(function: Any, *arguments: Any) -> Any:
    """pycocotools reports every step on stdout."""
    with contextlib.redirect_stdout(io.StringIO()):
        return function(*arguments)


def evaluate_boxes(truth: COCO, detections: Detections) -> COCOeval:
    """Match and accumulate with pycocotools, over every image of the annotation file."""
    # Its reader of results refuses an empty list.
    found = _quietly(truth.loadRes, detections) if detections else COCO()
    evaluation = COCOeval(truth, found, "bbox")
    evaluation.params.maxDets = [1, 10, MAX_DETECTIONS]
    for step in (evaluation.evaluate, evaluation.accumulate, evaluation.summarize):
        _quietly(step)
    return evaluation


def average_precision(matched: np.ndarray, truths: int) -> np.ndarray:
    """Average precision at 101 recalls, COCO's, of one image and class.

    Args:
        matched: bool, T×N: whether detection n, best first, matches a true box at threshold t.
        truths: number of true boxes, at least 1.

    Returns:
        T values in [0, 1].
    """
    hits = np.cumsum(matched, axis=1)
    recall = hits / truths
    precision = hits / np.arange(1, matched.shape[1] + 1)
    # The precision at a recall is the best one at that recall or a higher one.
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    values = np.zeros((len(matched), len(_RECALLS)))
    for row, (r, p) in enumerate(zip(recall, precision)):
        place = np.searchsorted(r, _RECALLS, side="left")
        reached = place < len(r)
        values[row, reached] = p[place[reached]]
    return values.mean(axis=1)


class DetectionMetric(TaskMetric):
    """mAP, mAP50 and mAP75 in percent, on boxes at the native size of the frames.

    `scores` has a row for each image: `image`, the three metrics of this image alone (empty where
    it has no true box; their mean over the images is not the metric of the dataset, which ranks
    the detections of all images together), `n_truth`, `n_pred` (at most 100), `best_score` (0–1;
    empty without a detection) and `found50`, the number of true boxes matched by a detection at an
    IoU of 0.5 or more.

    Args:
        annotations: COCO annotation file of the split.
        predictions: folder for the detections (`detections.json`, COCO's results).

    Raises:
        InputError: the annotation file is missing or has no box.
    """

    def __init__(self, annotations: Path, predictions: Path) -> None:
        super().__init__(predictions)
        self.truth = COCO()
        self.truth.dataset = read_json(annotations)
        _quietly(self.truth.createIndex)
        if not self.truth.anns:
            raise InputError(f"{annotations}: has no box; average precision needs at least one")
        self.image_ids = {item["file_name"]: item["id"] for item in self.truth.dataset["images"]}
        self.categories = sorted(self.truth.cats)

    def definitions(self) -> dict[str, str]:
        return dict(DEFINITIONS)

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        for sample in data_samples:
            found = sample["pred_instances"]
            image_id = self.image_ids[Path(sample["img_path"]).name]
            corners = found["bboxes"].double().cpu().numpy()
            boxes = np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]])
            rows = zip(boxes.tolist(), found["scores"].tolist(), found["labels"].tolist())
            detections = [
                {
                    "image_id": image_id,
                    "category_id": self.categories[label],
                    "bbox": box,
                    "score": score,
                }
                for box, score, label in rows
            ]
            self.results.append({"image_id": image_id, "detections": detections})

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        missing = set(self.truth.imgs) - {result["image_id"] for result in results}
        if missing:
            raise ValueError(f"{len(missing)} of {len(self.truth.imgs)} images were not predicted")
        detections = [one for result in results for one in result["detections"]]
        write_json(self.predictions / "detections.json", detections)
        evaluation = evaluate_boxes(self.truth, detections)
        self.scores = self._rows(evaluation)
        means = dict(zip(("map", "map50", "map75"), evaluation.stats[:3]))
        return {name: 100 * float(means[name]) for name in DEFINITIONS}

    def _rows(self, evaluation: COCOeval) -> pd.DataFrame:
        """One row per image from the matches pycocotools has made."""
        everything = evaluation.params.areaRng[0]
        matches: dict[int, list[dict[str, Any]]] = {}
        for match in evaluation.evalImgs:
            # None where a class has neither a true nor a predicted box in the image.
            if match is not None and match["aRng"] == everything:
                matches.setdefault(match["image_id"], []).append(match)
        rows = [
            {"image": Path(item["file_name"]).stem, **_row(matches.get(item["id"], []))}
            for item in self.truth.dataset["images"]
        ]
        return pd.DataFrame(rows)


def _row(matches: list[dict[str, Any]]) -> dict[str, Any]:
    """Scores of one image from the matches of its classes."""
    hits = [match["dtMatches"] > 0 for match in matches]
    curves = [
        average_precision(hit, len(match["gtIds"]))
        for hit, match in zip(hits, matches)
        if match["gtIds"]
    ]
    scores = [score for match in matches for score in match["dtScores"]]
    return {
        **{
            name: 100 * float(np.mean([curve[_THRESHOLDS[name]].mean() for curve in curves]))
            if curves
            else float("nan")
            for name in DEFINITIONS
        },
        "n_truth": sum(len(match["gtIds"]) for match in matches),
        "n_pred": len(scores),
        "best_score": max(scores, default=float("nan")),
        "found50": sum(int(hit[0].sum()) for hit in hits),
    }

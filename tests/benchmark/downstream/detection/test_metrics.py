"""COCO's numbers: equal to pycocotools called directly, and worked out by hand where one can."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from benchmark.data.tasks.coco import COCOFile, box_annotations
from benchmark.downstream.detection.metrics import DEFINITIONS, DetectionMetric, average_precision
from benchmark.errors import InputError

Boxes = list[list[float]]

# (true boxes with classes, predicted boxes with scores and classes), corners in pixels.
IMAGES: dict[str, tuple[Boxes, Boxes]] = {
    # A hit, the same box again (a duplicate is wrong), and a tie in the score.
    "hit": (
        [[10, 10, 30, 30, 0]],
        [[10, 10, 30, 30, 0.9, 0], [10, 10, 30, 30, 0.9, 0], [50, 50, 60, 60, 0.9, 0]],
    ),
    # Two truths; one prediction shifted by a fifth of its side (IoU 2/3), one by a half (1/3).
    "near": (
        [[0, 0, 20, 20, 0], [40, 40, 60, 60, 0]],
        [[4, 0, 24, 20, 0.8, 0], [50, 40, 70, 60, 0.7, 0]],
    ),
    "empty": ([], []),
    "false alarm": ([], [[5, 5, 9, 9, 0.95, 0]]),
    "missed": ([[1, 1, 5, 5, 0]], []),
    # A fractional box at an IoU of 0.752, and the right box with the wrong class.
    "second class": (
        [[2.5, 3.25, 22.5, 13.25, 1], [70, 70, 90, 90, 0]],
        [[2.5, 3.25, 22.5, 10.77, 0.5, 1], [70, 70, 90, 90, 0.9, 1]],
    ),
    # More than a hundred predictions; the hit is the last and does not count.
    "crowd": (
        [[10, 10, 20, 20, 0]],
        [[60, 60, 70, 70, 0.3, 0] for _ in range(100)] + [[10, 10, 20, 20, 0.2, 0]],
    ),
}


def annotate(path: Path, images: dict[str, tuple[Boxes, Boxes]]) -> Path:
    coco = COCOFile(["stenosis", "occlusion"])
    for name, (truth, _) in images.items():
        coco.add(f"{name}.png", 100, 100, box_annotations(np.array(truth).reshape(-1, 5)))
    path.write_text(json.dumps(coco.content))
    return path


def sample(name: str, predicted: Boxes) -> dict[str, Any]:
    """What a detector returns for an image, in mmdetection's own structure."""
    rows = torch.tensor(predicted, dtype=torch.float64).reshape(-1, 6)
    instances = InstanceData(bboxes=rows[:, :4], scores=rows[:, 4], labels=rows[:, 5].long())
    result = DetDataSample(pred_instances=instances, metainfo={"img_path": f"/x/{name}.png"})
    return result.to_dict()


def evaluate(
    folder: Path, images: dict[str, tuple[Boxes, Boxes]] = IMAGES, batch: int = 3
) -> tuple[DetectionMetric, dict[str, float]]:
    metric = DetectionMetric(annotate(folder / "truth.json", images), folder / "predictions")
    samples = [sample(name, predicted) for name, (_, predicted) in images.items()]
    for start in range(0, len(samples), batch):
        metric.process(None, samples[start : start + batch])
    return metric, metric.evaluate(len(samples))


def reference(truth: Path, detections: list[dict[str, Any]], image: int | None = None) -> list:
    """mAP, mAP50, mAP75 as the script of pycocotools' authors computes them."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(truth))
        evaluation = COCOeval(coco, coco.loadRes(detections), "bbox")
        if image is not None:
            evaluation.params.imgIds = [image]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[:3].tolist()


def as_results(images: dict[str, tuple[Boxes, Boxes]]) -> list[dict[str, Any]]:
    return [
        {
            "image_id": number,
            "category_id": int(label) + 1,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "score": score,
        }
        for number, (_, predicted) in enumerate(images.values(), start=1)
        for x0, y0, x1, y1, score, label in predicted
    ]


def test_numbers_are_those_of_pycocotools(tmp_path):
    _, found = evaluate(tmp_path)
    expected = reference(tmp_path / "truth.json", as_results(IMAGES))
    assert [found[name] for name in ("map", "map50", "map75")] == [100 * v for v in expected]
    assert 0 < found["map75"] < found["map50"] < 100
    assert found.keys() == DEFINITIONS.keys()
    written = json.loads((tmp_path / "predictions" / "detections.json").read_text())
    assert reference(tmp_path / "truth.json", written) == expected


def test_the_order_of_batches_does_not_matter(tmp_path):
    """Scores that differ, so that only the images are out of order."""
    rng = np.random.default_rng(0)
    images: dict[str, tuple[Boxes, Boxes]] = {}
    for number in range(12):
        truth = [[x, y, x + 20, y + 15, 0] for x, y in rng.uniform(0, 70, (number % 3, 2))]
        moved = [[*(np.array(box[:4]) + rng.normal(0, 2, 4)), rng.random(), 0] for box in truth]
        images[f"frame{number}"] = (truth, [*moved, [1, 1, 30, 30, rng.random(), 0]])
    _, one = evaluate(tmp_path, images, batch=5)
    reverse = DetectionMetric(tmp_path / "truth.json", tmp_path)
    reverse.process(None, [sample(name, images[name][1]) for name in reversed(images)])
    assert reverse.evaluate(12) == one
    expected = reference(tmp_path / "truth.json", as_results(images))
    assert one["map"] == 100 * expected[0] > 0


def test_a_row_is_the_metric_of_its_image_alone(tmp_path):
    metric, _ = evaluate(tmp_path)
    rows = metric.scores.set_index("image")
    assert list(rows.index) == list(IMAGES)
    detections = as_results(IMAGES)
    for number, (name, (truth, predicted)) in enumerate(IMAGES.items(), start=1):
        row = rows.loc[name]
        assert row["n_truth"] == len(truth)
        assert row["n_pred"] == min(len(predicted), 100)
        if not truth:
            assert np.isnan(row[list(DEFINITIONS)].astype(float)).all()
            continue
        alone = [d for d in detections if d["image_id"] == number] or detections
        expected = reference(tmp_path / "truth.json", alone, number)
        for column, value in zip(("map", "map50", "map75"), expected):
            assert row[column] == pytest.approx(100 * value, abs=1e-9), (name, column)
    assert rows.loc["false alarm", "best_score"] == 0.95
    assert np.isnan(rows.loc["missed", "best_score"])
    assert rows["found50"].tolist() == [1, 1, 0, 0, 0, 1, 0]


def test_average_precision_by_hand():
    """Of four truths, detections 1 and 3 hit: precision 1 up to recall 1/4, 2/3 up to 1/2."""
    found = average_precision(np.array([[True, False, True, False]]), 4)
    # Recalls 0, 0.01 … 1: 26 of them up to 0.25, 25 more up to 0.50.
    assert found == pytest.approx([(26 * 1 + 25 * 2 / 3) / 101])
    late = average_precision(np.array([[False, True], [False, False]]), 1)
    assert late == pytest.approx([1 / 2, 0])
    assert average_precision(np.zeros((10, 0), bool), 3).tolist() == [0] * 10


def test_without_a_prediction_all_is_zero(tmp_path):
    images = {name: (truth, []) for name, (truth, _) in IMAGES.items()}
    metric, found = evaluate(tmp_path, images)
    assert set(found.values()) == {0}
    assert metric.scores["n_pred"].sum() == 0
    assert metric.scores["found50"].sum() == 0


def test_what_cannot_be_scored_is_an_error(tmp_path):
    nothing = {"a": ([], [[1, 1, 2, 2, 0.5, 0]])}
    with pytest.raises(InputError, match=r"truth\.json: has no box"):
        DetectionMetric(annotate(tmp_path / "truth.json", nothing), tmp_path)
    with pytest.raises(InputError, match=r"absent\.json"):
        DetectionMetric(tmp_path / "absent.json", tmp_path)
    metric = DetectionMetric(annotate(tmp_path / "truth.json", IMAGES), tmp_path)
    metric.process(None, [sample("hit", IMAGES["hit"][1])])
    with pytest.raises(ValueError, match="6 of 7 images were not predicted"):
        metric.evaluate(1)

"""Scores of vessel masks: values worked out by hand, and the published formula written out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.morphology import skeletonize
from torchmetrics.segmentation import DiceScore

from benchmark.data.frame import Frame
from benchmark.data.sources.files import FolderSource
from benchmark.data.tasks import TaskFolder, write_task_folder
from benchmark.downstream.segmentation.metrics import (
    SegmentationMetric,
    centreline_dice,
    dice_of_counts,
)

EMPTY = np.zeros((12, 12), bool)


def row(start: int, stop: int, at: int = 5) -> np.ndarray:
    """A horizontal line one pixel thick: its skeleton is the line itself."""
    mask = EMPTY.copy()
    mask[at, start:stop] = True
    return mask


def dice_score(prediction: np.ndarray, truth: np.ndarray) -> float:
    return float(dice_of_counts((prediction & truth).sum(), prediction.sum() + truth.sum()))


def blobs(seed: int) -> np.ndarray:
    """Smooth random regions of 64²."""
    field = gaussian_filter(np.random.default_rng(seed).normal(size=(64, 64)), 3)
    return field > np.quantile(field, 0.7)


@pytest.mark.parametrize(
    ("prediction", "truth", "dice", "cldice"),
    [
        (EMPTY, EMPTY, 1, 1),
        (row(2, 10), EMPTY, 0, 0),
        (EMPTY, row(2, 10), 0, 0),
        (row(2, 10), row(2, 10), 1, 1),
        (row(2, 10, at=2), row(2, 10, at=8), 0, 0),
        # 4 of 8 pixels found, nothing false: precision 1, sensitivity 1/2, both scores 2/3.
        (row(2, 6), row(2, 10), 2 / 3, 2 / 3),
        # 8 predicted, 6 true, 4 shared: Dice 8/14; clDice of 4/8 and 4/6 is 4/7.
        (row(0, 8), row(4, 10), 8 / 14, 4 / 7),
    ],
)
def test_scores_by_hand(prediction, truth, dice, cldice):
    assert dice_score(prediction, truth) == pytest.approx(dice, abs=1e-12)
    assert centreline_dice(prediction, truth) == pytest.approx(cldice, abs=1e-12)


def test_cldice_looks_at_lines_where_dice_looks_at_areas():
    """A line along a band three thick: Dice is 1/2, but nearly all of its skeleton is hit."""
    band = row(1, 11, 4) | row(1, 11, 5) | row(1, 11, 6)
    line = row(1, 11, 5)
    assert dice_score(line, band) == 2 * 10 / (10 + 30)
    skeleton = skeletonize(band)
    share = skeleton[5].sum() / skeleton.sum()  # Zhang's thinning ends in one corner of the band
    assert share > 0.8
    assert centreline_dice(line, band) == pytest.approx(2 * share / (1 + share))


def test_cldice_is_the_published_formula():
    for seed in range(6):
        prediction, truth = blobs(seed), blobs(seed + 100) | blobs(seed)
        precision = np.sum(skeletonize(prediction) * truth) / np.sum(skeletonize(prediction))
        sensitivity = np.sum(skeletonize(truth) * prediction) / np.sum(skeletonize(truth))
        expected = 2 * precision * sensitivity / (precision + sensitivity)
        assert 0.3 < expected < 1
        assert centreline_dice(prediction, truth) == pytest.approx(expected, rel=1e-12)


def test_masks_of_any_type_and_of_one_bit_files_are_scored(tmp_path):
    """numpy reads them as bool with bytes of 255, which crash scikit-image's thinning."""
    one, two = blobs(1), blobs(51)
    for name, mask in (("one", one), ("two", two)):
        Image.fromarray(mask).save(tmp_path / f"{name}.png")
    read = [np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("one", "two")]
    assert read[0].dtype == bool
    assert centreline_dice(*read) == centreline_dice(one, two)
    masks = one.astype(np.uint8), 255 * two.astype(np.float32)
    assert centreline_dice(*masks) == centreline_dice(one, two)


def _task(path: Path, truths: dict[str, np.ndarray], classes: list[str]) -> TaskFolder:
    """A task of the kind that is written, from bool masks C×H×W."""
    source = InMemory(truths, classes)
    return write_task_folder(source, path, "segmentation", progress=False)


class InMemory(FolderSource):
    """Truths as a source; every frame is test."""

    name = "memory"
    forms = ("segmentation",)

    def __init__(self, truths: dict[str, np.ndarray], classes: list[str]) -> None:
        super().__init__()
        self.truths = truths
        self.classes = tuple(classes)

    def frames(self) -> Iterator[Frame]:
        for name in self.truths:
            yield Frame(self.name, name, split="test", annotation=name)

    def read(self, frame: Frame) -> np.ndarray:
        picture = np.zeros(self.truths[frame.path].shape[1:], np.uint8)
        picture[0, 0] = ord(frame.path[0])
        return picture

    def read_masks(self, frame: Frame) -> np.ndarray:
        return self.truths[frame.path]


def _score(
    metric: SegmentationMetric, predictions: dict[str, np.ndarray], logits: bool = False
) -> dict[str, float]:
    evaluator = Evaluator(metric)
    for name, prediction in predictions.items():
        sample = SegDataSample(metainfo={"img_path": f"somewhere/{name}.png"})
        # Certain, but for the half of a probability on the wrong side of the threshold.
        data = torch.from_numpy(np.where(prediction, 0.1, -0.1) if logits else prediction * 1.0)
        setattr(sample, "seg_logits" if logits else "pred_sem_seg", PixelData(data=data))
        evaluator.process(data_samples=[sample])
    return evaluator.evaluate(len(predictions))


def test_the_metric_keeps_every_image_and_averages_in_percent(tmp_path):
    masks = {
        "a": (row(2, 6), row(2, 10)),
        "b": (row(0, 8), row(4, 10)),
        "c": (EMPTY, EMPTY),
        "d": (row(0, 8), EMPTY),
    }
    task = _task(tmp_path / "t", {name: t[None] for name, (_, t) in masks.items()}, ["vessel"])
    metric = SegmentationMetric(task, predictions=tmp_path / "predictions")
    means = _score(metric, {name: p[None] for name, (p, _) in masks.items()})

    dice, cldice = [200 / 3, 800 / 14, 100, 0], [200 / 3, 400 / 7, 100, 0]
    assert metric.scores["image"].tolist() == list("abcd")
    assert metric.scores["dsc"].tolist() == pytest.approx(dice)
    assert metric.scores["cldice"].tolist() == pytest.approx(cldice)
    assert metric.scores["non_empty"].tolist() == [True, True, False, False]
    assert means.keys() == metric.definitions().keys()
    assert means["dsc"] == pytest.approx(sum(dice) / 4)
    assert means["cldice"] == pytest.approx(sum(cldice) / 4)
    assert means["dsc_nonempty"] == pytest.approx(sum(dice[:2]) / 2)
    # 4 + 4 common pixels; 4 + 8 + 8 predicted and 8 + 6 true: 2·8/(20 + 14).
    assert means["dsc_dataset"] == pytest.approx(100 * 16 / 34)
    for name, (prediction, _) in masks.items():
        with Image.open(tmp_path / "predictions" / f"{name}.png") as image:
            assert image.mode == "1"
            np.testing.assert_array_equal(np.asarray(image), prediction)


def test_several_classes_are_scored_by_channel(tmp_path):
    """Three classes that overlap, by hand; the third is in no truth."""
    truths = {
        "a": np.stack([row(0, 10), row(5, 10), EMPTY]),
        "b": np.stack([EMPTY, row(0, 4), EMPTY]),
        "c": np.stack([EMPTY, EMPTY, EMPTY]),
    }
    predictions = {
        "a": np.stack([row(0, 5), row(5, 10), EMPTY]),
        "b": np.stack([row(0, 2), EMPTY, EMPTY]),
        "c": np.stack([EMPTY, EMPTY, EMPTY]),
    }
    task = _task(tmp_path / "t", truths, ["5", "6", "9a"])
    metric = SegmentationMetric(task, predictions=tmp_path / "predictions")
    means = _score(metric, predictions, logits=True)
    # a: 5 + 5 common of 10 predicted and 15 true; b: nothing common; c: both empty.
    a, b, c = 100 * 20 / 25, 0, 100
    assert metric.scores["dsc"].tolist() == pytest.approx([a, b, c])
    assert means["dsc"] == pytest.approx((a + b + c) / 3)
    assert means["dsc_nonempty"] == pytest.approx((a + b) / 2)
    assert means["dsc_dataset"] == pytest.approx(100 * 20 / (25 + 6))
    # Classes of the truth: in a, 2·5/15 and 1; in b, 0; c has none and does not count.
    assert means["dsc_present"] == pytest.approx(100 * ((2 / 3 + 1) / 2 + 0) / 2)
    assert means["dsc_class_5"] == pytest.approx(100 * 10 / (5 + 2 + 10))
    assert means["dsc_class_6"] == pytest.approx(100 * 10 / (5 + 5 + 4))
    assert means["dsc_macro"] == pytest.approx((means["dsc_class_5"] + means["dsc_class_6"]) / 2)
    assert np.isnan(means["dsc_class_9a"])
    assert means.keys() == metric.definitions().keys()
    with Image.open(tmp_path / "predictions" / "a.png") as image:
        shown = np.asarray(image)
    np.testing.assert_array_equal(shown, np.where(row(5, 10), 2, row(0, 5)))


@pytest.mark.parametrize("classes", [1, 4])
def test_dsc_equals_torchmetrics(tmp_path, classes):
    """Per image over all of its channels, and per class over the images: Dice of torchmetrics."""
    rng = np.random.default_rng(7)
    shape = (classes, 20, 24)
    truths = {name: rng.random(shape) < 0.3 for name in "xyz"}
    predictions = {name: rng.random(shape) < 0.4 for name in "xyz"}
    names = list("abcd")[:classes]
    metric = SegmentationMetric(_task(tmp_path / "t", truths, names), tmp_path)
    means = _score(metric, predictions, logits=classes > 1)

    def theirs(images: str, average: str) -> torch.Tensor:
        dice = DiceScore(
            num_classes=classes,
            include_background=True,
            average=average,
            aggregation_level="global",
        )
        both = (np.stack([side[n] for n in images]).astype(int) for side in (predictions, truths))
        dice.update(*map(torch.from_numpy, both))
        return dice.compute()

    rows = metric.scores.set_index("image")["dsc"]
    for name in "xyz":
        assert rows[name] == pytest.approx(100 * float(theirs(name, "micro")), abs=1e-4)
    assert means["dsc_dataset"] == pytest.approx(100 * float(theirs("xyz", "micro")), abs=1e-4)
    if classes > 1:
        each = theirs("xyz", "none").flatten().tolist()
        found = [means[f"dsc_class_{name}"] for name in names]
        assert found == pytest.approx([100 * value for value in each], abs=1e-4)
        assert means["dsc_macro"] == pytest.approx(100 * np.mean(each), abs=1e-4)


def test_at_network_size_the_truth_is_brought_down(tmp_path):
    """Each new pixel takes the one under its centre: of 12×12, the odd ones of both axes."""
    truth = np.zeros((12, 12), bool)
    truth[:, 6:] = True
    task = _task(tmp_path / "t", {"a": truth[None]}, ["vessel"])
    metric = SegmentationMetric(task, tmp_path, at="network")
    half = np.zeros((6, 6), bool)
    half[:, 3:] = True
    assert _score(metric, {"a": half[None]})["dsc"] == 100
    assert metric.definitions()["dsc"].endswith("/network-size/v1")

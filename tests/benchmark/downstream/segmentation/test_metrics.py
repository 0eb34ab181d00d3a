"""Scores of vessel masks: values worked out by hand, and the published formula written out."""

from __future__ import annotations

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

from benchmark.downstream.segmentation.metrics import (
    DEFINITIONS,
    VesselMetric,
    centreline_dice,
    dice_score,
)

EMPTY = np.zeros((12, 12), bool)


def row(start: int, stop: int, at: int = 5) -> np.ndarray:
    """A horizontal line one pixel thick: its skeleton is the line itself."""
    mask = EMPTY.copy()
    mask[at, start:stop] = True
    return mask


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
def test_scores_by_hand(
    prediction: np.ndarray, truth: np.ndarray, dice: float, cldice: float
) -> None:
    assert dice_score(prediction, truth) == pytest.approx(dice, abs=1e-12)
    assert centreline_dice(prediction, truth) == pytest.approx(cldice, abs=1e-12)


def test_cldice_looks_at_lines_where_dice_looks_at_areas() -> None:
    """A line along a band three thick: Dice is 1/2, but nearly all of its skeleton is hit."""
    band = row(1, 11, 4) | row(1, 11, 5) | row(1, 11, 6)
    line = row(1, 11, 5)
    assert dice_score(line, band) == 2 * 10 / (10 + 30)
    skeleton = skeletonize(band)
    share = skeleton[5].sum() / skeleton.sum()  # Zhang's thinning ends in one corner of the band
    assert share > 0.8
    assert centreline_dice(line, band) == pytest.approx(2 * share / (1 + share))


def test_cldice_is_the_published_formula() -> None:
    for seed in range(6):
        prediction, truth = blobs(seed), blobs(seed + 100) | blobs(seed)
        precision = np.sum(skeletonize(prediction) * truth) / np.sum(skeletonize(prediction))
        sensitivity = np.sum(skeletonize(truth) * prediction) / np.sum(skeletonize(truth))
        expected = 2 * precision * sensitivity / (precision + sensitivity)
        assert 0.3 < expected < 1
        assert centreline_dice(prediction, truth) == pytest.approx(expected, rel=1e-12)


def test_identity_symmetry_and_the_relation_to_iou() -> None:
    for seed in range(6):
        one, two = blobs(seed), blobs(seed + 50)
        for score in (dice_score, centreline_dice):
            assert score(one, one) == 1
            assert score(one, two) == pytest.approx(score(two, one), abs=1e-12)
            assert 0 < score(one, two) < 1
        iou = (one & two).sum() / (one | two).sum()
        assert dice_score(one, two) == pytest.approx(2 * iou / (1 + iou), rel=1e-12)


def test_masks_of_any_number_type_are_masks() -> None:
    one, two = row(0, 8), row(4, 10)
    for kind in (np.uint8, np.int64, np.float32):
        assert dice_score(one.astype(kind), 255 * two.astype(kind)) == 8 / 14
        assert centreline_dice(one.astype(kind), 255 * two.astype(kind)) == pytest.approx(4 / 7)


def test_masks_read_from_one_bit_files_are_scored(tmp_path: Path) -> None:
    """numpy reads them as bool with bytes of 255, which crash scikit-image's thinning."""
    one, two = blobs(1), blobs(51)
    for name, mask in (("one", one), ("two", two)):
        Image.fromarray(mask).save(tmp_path / f"{name}.png")
    read = [np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("one", "two")]
    assert read[0].dtype == bool
    assert dice_score(*read) == dice_score(one, two)
    assert centreline_dice(*read) == centreline_dice(one, two)


def _sample(path: Path, prediction: np.ndarray, truth: np.ndarray) -> SegDataSample:
    Image.fromarray(truth.astype(np.uint8)).save(path)
    sample = SegDataSample(metainfo={"seg_map_path": str(path)})
    sample.pred_sem_seg = PixelData(data=torch.from_numpy(prediction)[None].float())
    return sample


def test_the_metric_keeps_every_image_and_averages_in_percent(tmp_path: Path) -> None:
    masks = {
        "a": (row(2, 6), row(2, 10)),
        "b": (row(0, 8), row(4, 10)),
        "c": (EMPTY, EMPTY),
        "d": (row(0, 8), EMPTY),
    }
    samples = [_sample(tmp_path / f"{name}.png", *pair) for name, pair in masks.items()]
    metric = VesselMetric(tmp_path / "predictions")
    evaluator = Evaluator(metric)
    evaluator.process(data_samples=samples[:3])
    evaluator.process(data_samples=samples[3:])
    means = evaluator.evaluate(4)

    dice, cldice = [200 / 3, 800 / 14, 100, 0], [200 / 3, 400 / 7, 100, 0]
    assert metric.scores["image"].tolist() == list("abcd")
    assert metric.scores["dsc"].tolist() == pytest.approx(dice)
    assert metric.scores["cldice"].tolist() == pytest.approx(cldice)
    assert means.keys() == DEFINITIONS.keys()
    assert means["dsc"] == pytest.approx(sum(dice) / 4)
    assert means["cldice"] == pytest.approx(sum(cldice) / 4)
    for name, (prediction, _) in masks.items():
        with Image.open(tmp_path / "predictions" / f"{name}.png") as image:
            assert image.mode == "1"
            np.testing.assert_array_equal(np.asarray(image), prediction)


def test_without_a_folder_nothing_is_written(tmp_path: Path) -> None:
    metric = VesselMetric()
    Evaluator(metric).process(data_samples=[_sample(tmp_path / "a.png", row(0, 3), row(0, 3))])
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]

"""Scores of denoised frames: formulas written out, cases by hand, and scikit-image."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import BaseDataElement
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from benchmark.data.tasks import TaskFolder
from benchmark.downstream.denoising.metrics import (
    MAX_PSNR,
    DenoisingMetric,
    definitions,
    psnr,
    ssim,
)
from benchmark.errors import InputError

Denoise = Callable[[np.ndarray], np.ndarray]


def pair(seed: int, shape: tuple[int, int] = (40, 32)) -> tuple[np.ndarray, np.ndarray]:
    """A smooth picture and a noisy one."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices(shape)
    truth = 120 + 80 * np.sin(rows / 5) * np.cos(columns / 7)
    noisy = truth + rng.normal(0, 15, shape)
    return tuple(a.round().clip(0, 255).astype(np.uint8) for a in (noisy, truth))


def written_out_ssim(picture: np.ndarray, truth: np.ndarray) -> float:
    """Wang et al. 2004, equation 13, over every 7×7 window that lies inside, in plain loops."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for row in range(picture.shape[0] - 6):
        for column in range(picture.shape[1] - 6):
            x, y = (
                [float(v) for v in p[row : row + 7, column : column + 7].ravel()]
                for p in (picture, truth)
            )
            mx, my = sum(x) / 49, sum(y) / 49
            vx = sum((v - mx) ** 2 for v in x) / 48
            vy = sum((v - my) ** 2 for v in y) / 48
            vxy = sum((v - mx) * (w - my) for v, w in zip(x, y)) / 48
            numerator = (2 * mx * my + c1) * (2 * vxy + c2)
            values.append(numerator / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    return sum(values) / len(values)


@pytest.mark.parametrize(
    ("changed", "by", "expected"),
    [
        # MSE 1: 10·log10(65025) = 48.13 dB. 255 everywhere: 0 dB. 16 in one of 64 pixels: MSE 4.
        (slice(None), 1, 48.1308),
        (slice(None), 255, 0.0),
        ((0, 0), 16, 48.1308 - 10 * math.log10(4)),
    ],
)
def test_psnr_by_hand(changed, by, expected):
    truth = np.zeros((8, 8), np.uint8)
    picture = truth.copy()
    picture[changed] = by
    assert psnr(picture, truth) == pytest.approx(expected, abs=1e-4)
    # 8-bit values must not wrap around below zero.
    assert psnr(truth, picture) == psnr(picture, truth)


def test_scores_are_the_formulas_and_those_of_scikit_image():
    for seed in range(3):
        noisy, truth = pair(seed)
        squares = [(float(a) - float(b)) ** 2 for a, b in zip(noisy.ravel(), truth.ravel())]
        expected = 10 * math.log10(255**2 / (sum(squares) / len(squares)))
        assert psnr(noisy, truth) == pytest.approx(expected, rel=1e-12)
        assert psnr(noisy, truth) == peak_signal_noise_ratio(truth, noisy, data_range=255)
        assert ssim(noisy, truth) == structural_similarity(truth, noisy, data_range=255)
    noisy, truth = pair(0, (16, 15))
    assert ssim(noisy, truth) == pytest.approx(written_out_ssim(noisy, truth), rel=1e-10)


def test_an_identical_picture_has_the_largest_score_there_is():
    _, truth = pair(0)
    assert psnr(truth, truth) == MAX_PSNR == 100
    assert ssim(truth, truth) == 1
    # No picture that differs may stand above one that does not: 1 in one of 512² pixels is 102 dB.
    large = np.full((512, 512), 100, np.uint8)
    other = large.copy()
    other[7, 9] += 1
    assert peak_signal_noise_ratio(large, other, data_range=255) > 102
    assert psnr(other, large) == MAX_PSNR


def evaluate(metric: DenoisingMetric, denoise: Denoise) -> dict[str, float]:
    """The metric as the runner calls it, on frames a function makes of the degraded ones."""
    folder = metric.folder
    evaluator = Evaluator(metric)
    items = folder.splits["test"]
    for item in items:
        frame = np.asarray(Image.open(folder.image("test", item["stem"])))
        sample = BaseDataElement(metainfo={"stem": item["stem"]})
        sample.denoised = torch.from_numpy(denoise(frame).copy())[None]
        evaluator.process([sample], None)
    return evaluator.evaluate(len(items))


def test_the_record_holds_every_image_its_input_and_its_dose(noisy, tmp_path):
    metric = DenoisingMetric(noisy, tmp_path / "predictions")
    found = evaluate(metric, lambda frame: 255 - frame)
    rows = metric.scores
    items = noisy.splits["test"]
    assert rows["image"].tolist() == [item["stem"] for item in items]
    assert rows["level"].tolist() == [item["level"] for item in items] == [0, 1, 2]
    for row in rows.itertuples():
        degraded = np.asarray(Image.open(noisy.image("test", row.image)))
        clean = np.asarray(Image.open(noisy.clean("test", row.image)))
        written = np.asarray(Image.open(tmp_path / "predictions" / f"{row.image}.png"))
        np.testing.assert_array_equal(written, 255 - degraded)
        assert row.psnr == peak_signal_noise_ratio(clean, 255 - degraded, data_range=255)
        assert row.ssim == 100 * structural_similarity(clean, 255 - degraded, data_range=255)
        assert row.psnr_input == peak_signal_noise_ratio(clean, degraded, data_range=255)
        assert row.ssim_input == 100 * structural_similarity(clean, degraded, data_range=255)
        assert found[f"psnr_level{row.level}"] == row.psnr
        assert found[f"ssim_level{row.level}"] == row.ssim
    for name in ("psnr", "ssim", "psnr_input", "ssim_input"):
        assert found[name] == pytest.approx(rows[name].mean(), rel=1e-12)
    assert found.keys() == metric.definitions().keys()
    # Fewer quanta are more noise.
    assert rows["psnr_input"].is_monotonic_decreasing


def test_a_task_without_dose_levels_is_scored_without_them(noisy, tmp_path):
    items = [{k: v for k, v in item.items() if k != "level"} for item in noisy.splits["test"]]
    plain = TaskFolder(noisy.path, {**noisy.manifest, "splits": {"test": items}})
    metric = DenoisingMetric(plain, tmp_path)
    found = evaluate(metric, lambda frame: frame)
    assert found.keys() == metric.definitions().keys() == definitions().keys()
    assert set(found) == {"psnr", "ssim", "psnr_input", "ssim_input"}
    assert found["psnr"] == found["psnr_input"], "nothing was done"
    assert "level" not in metric.scores


def test_a_frame_that_was_resized_is_refused(noisy, tmp_path):
    with pytest.raises(InputError, match="test_pipeline must keep the native size"):
        evaluate(DenoisingMetric(noisy, tmp_path), lambda frame: frame[::2, ::2])

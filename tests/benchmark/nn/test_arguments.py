"""Values that configs must not give: refused by the hints of the constructors."""

from __future__ import annotations

from typing import Any

import pytest

from benchmark.nn.backbones.resnet import ResNetEncoder
from benchmark.nn.corruptions.blur import GaussianBlur
from benchmark.nn.corruptions.frequency import EitherCorruption
from benchmark.nn.corruptions.genesis import LocalShuffling, Painting, RandomFlips
from benchmark.nn.corruptions.intensity_curves import BezierCurve, HistogramShift
from benchmark.nn.ema import CosineMomentum, EpochLinearMomentum, LinearMomentum
from benchmark.nn.masking.anatomy import AnatomyGuidedMasking
from benchmark.nn.masking.attention import AttentionGuidedMasking
from benchmark.nn.masking.blocks import BlockMasking
from benchmark.nn.masking.jepa import MultiblockMasking
from benchmark.nn.masking.loss import LossGuidedMasking
from benchmark.nn.objectives.anatomical_consistency import AnatomicalConsistency
from benchmark.nn.objectives.frequency import HighFrequencyLoss
from benchmark.nn.objectives.perceptual import ContextualLoss
from benchmark.nn.objectives.pixels import PixelReconstruction
from benchmark.nn.objectives.self_distillation import Centre, TeacherTemperature
from benchmark.type_hints import fits, hints_of
from methods.ijepa import IJEPA


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        (LinearMomentum, dict(start=-0.1, end=1.1, stretch=0)),
        (CosineMomentum, dict(start=-0.1, end=1.1, stretch=0)),
        (EpochLinearMomentum, dict(start=-0.1, end=1.1, epochs=0)),
        (TeacherTemperature, dict(start=0, end=0, epochs=-1)),
        (Centre, dict(momentum=1.1)),
        (AnatomyGuidedMasking, dict(eta=1.01, beta_start=-0.1, beta_end=1.01)),
        (LossGuidedMasking, dict(hard_start=1.5, hard_end=1.5)),
        (AttentionGuidedMasking, dict(throw=-0.1, interval=0)),
        (BlockMasking, dict(aspect=0.0, smallest=0, attempts=0)),
        (MultiblockMasking, dict(targets=0, attempts=0)),
        (GaussianBlur, dict(sigma=0)),
        (RandomFlips, dict(probability=2)),
        (LocalShuffling, dict(windows=0, largest=1.2)),
        (Painting, dict(boxes=0, more=-1)),
        (BezierCurve, dict(inversion=1.5, samples=1)),
        (HistogramShift, dict(probability=-0.1)),
        (EitherCorruption, dict(probability=3)),
        (HighFrequencyLoss, dict(levels=0, base=0)),
        (ContextualLoss, dict(bandwidth=0)),
        (PixelReconstruction, dict(distance="huber")),
        (AnatomicalConsistency, dict(metric="mse")),
        (ResNetEncoder, dict(block="wide")),
        (IJEPA, dict(distance="l3")),
    ],
)
def test_values_out_of_range_do_not_fit(kind: type, bad: dict[str, Any]) -> None:
    assert [name for name, value in bad.items() if fits(value, hints_of(kind)[name])] == []

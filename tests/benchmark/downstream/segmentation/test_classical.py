"""The row without learning, as a model."""

from __future__ import annotations

import pytest
import torch
from mmseg.structures import SegDataSample
from sklearn.metrics import f1_score
from torch import Tensor

from benchmark.anatomy.extraction import vessel_mask
from benchmark.data.synthetic import angiogram
from benchmark.downstream.segmentation.classical import VesselnessSegmentor


@pytest.fixture(scope="module")
def frames() -> list[Tensor]:
    """Two angiograms of different size, uint8, one grey channel repeated as the reader does."""
    drawn = [
        angiogram(0, patient, 0, 5, size=size, frames=8) for patient, size in ((0, 96), (1, 128))
    ]
    return [torch.from_numpy(one.image).expand(3, -1, -1) for one in drawn]


def predict(model: VesselnessSegmentor, frames: list[Tensor]) -> list[Tensor]:
    samples = model(frames, [SegDataSample() for _ in frames], mode="predict")
    return [sample.pred_sem_seg.data for sample in samples]


def test_it_is_the_extraction_of_each_frame_at_native_size(frames):
    model = VesselnessSegmentor(kind="sato", alpha=85.0, border=7)
    for frame, mask in zip(frames, predict(model, frames), strict=True):
        expected = vessel_mask(frame[:1], kind="sato", alpha=85.0, border=7)
        assert mask.dtype == torch.uint8
        assert torch.equal(mask, expected.to(torch.uint8))
        assert 0 < mask.sum() < 0.2 * mask.numel()
        assert not mask[:, :7].any()
        assert not mask[:, :, -7:].any()


def test_every_argument_counts(frames):
    base = predict(VesselnessSegmentor(border=5), frames)[1]
    looser = predict(VesselnessSegmentor(alpha=80.0, border=5), frames)[1]
    assert looser.sum() > base.sum()
    assert bool((looser >= base).all()), "a lower percentile only adds pixels"
    assert not torch.equal(predict(VesselnessSegmentor(kind="frangi", border=5), frames)[1], base)
    inner = predict(VesselnessSegmentor(border=30), frames)[1]
    assert not inner[:, :30].any()


def test_it_finds_vessels_of_a_drawn_angiogram():
    one = angiogram(0, 0, 0, 5, size=256, frames=8)
    frame = torch.from_numpy(one.image).expand(3, -1, -1)
    (mask,) = predict(VesselnessSegmentor(), [frame])
    found, mirrored = (
        f1_score(one.vessel.ravel(), predicted.numpy().ravel())
        for predicted in (mask, mask.flip(2))
    )
    assert found > 0.4
    assert found > 2 * mirrored

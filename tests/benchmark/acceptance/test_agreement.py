"""What compares the device with the CPU notices a difference."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark.acceptance import agreement
from benchmark.acceptance.agreement import exact_fp32, first_steps, relative_difference
from benchmark.acceptance.findings import Finding
from benchmark.data.views.single import ViewMaker
from benchmark.training import train


def test_relative_difference_by_hand():
    expected, found = torch.tensor([4.0, -8.0]), torch.tensor([4.0, -7.9])
    assert relative_difference(expected, found) == pytest.approx(0.1 / 8, rel=1e-5)
    assert relative_difference(expected, torch.tensor([4.0, math.nan])) == math.inf
    assert relative_difference(torch.zeros(2), torch.zeros(2)) == 0


def test_tf32_is_off_within_the_block_only():
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = True
    try:
        with exact_fp32():
            assert not torch.backends.cudnn.allow_tf32
            assert not torch.backends.cuda.matmul.allow_tf32
        assert torch.backends.cudnn.allow_tf32
    finally:
        torch.backends.cudnn.allow_tf32 = before


def test_views_that_differ_miss_the_goal(monkeypatch):
    """An image off by a hundredth, and a mask off by one entry."""
    image, mask = torch.full((2, 3), 2.0), torch.tensor([True, False])
    answers = iter(
        [{"image": image, "mask": mask}, {"image": 1.01 * image, "mask": ~mask}],
    )
    monkeypatch.setattr(agreement, "_views", lambda *_: next(answers))
    monkeypatch.setattr(agreement, "methods_of", lambda reduced: ["mae"])
    monkeypatch.setattr(agreement, "small_trial", lambda *_: None)
    images, masks = agreement.views(reduced=True)
    assert (images.reached, masks.reached) == (False, False)
    assert images.value == pytest.approx(0.01, rel=1e-4)
    assert masks.value == "mask"


def test_views_are_cut_from_large_frames_of_mixed_sizes(monkeypatch):
    """With the vessels of their valid areas, where the loader of a method gives vessels."""
    true, given = ViewMaker.forward, []

    def forward(self, batch, training=False):
        given.append(batch)
        return true(self, batch, training)

    monkeypatch.setattr(ViewMaker, "forward", forward)
    monkeypatch.setattr(agreement, "methods_of", lambda reduced: ["vasomim", "dino"])
    assert all(finding.reached for finding in agreement.views(reduced=True))
    guided, _, plain, _ = given
    assert guided.keys() - plain.keys() == {"anatomy"}
    assert guided["frame"].shape == (4, 512, 512)
    assert guided["valid"].tolist() == [[512, 512], [505, 501], [498, 512], [512, 501]]
    vessels = np.unpackbits(guided["anatomy"].numpy(), axis=-1)
    expected = agreement.vessel_mask(guided["frame"], valid=guided["valid"])
    assert np.array_equal(vessels, expected.numpy())


def test_vessel_masks_that_differ_miss_the_goal(monkeypatch):
    true, calls = agreement.vessel_mask, []

    def mask(frames, valid=None):
        calls.append(1)
        found = true(frames, valid=valid)
        found[0, 0, 0] ^= len(calls) % 2 == 0  # on the device only
        return found

    monkeypatch.setattr(agreement, "vessel_mask", mask)
    found = [f for f in agreement.vessel_masks(reduced=True) if "differ" in f.what]
    assert [(finding.value, finding.reached) for finding in found] == [(1, False), (1, False)]


def test_a_gradient_that_should_be_zero_is_seen(monkeypatch):
    """Whatever its own size is: relative to the largest gradient."""
    zero, one = torch.zeros(2), torch.tensor([4.0, 0.0])
    on_cpu, on_device = {"a": zero, "b": one}, {"a": one, "b": one}
    gradient = gradient_finding(monkeypatch, on_cpu, on_cpu, on_device)
    assert (gradient.value, gradient.reached) == (1.0, False)


@pytest.mark.parametrize(
    ("on_cpu", "on_device", "goal", "reached"),
    [
        (4.0001, 4.003, "at most 0.001", True),
        (4.0001, 4.005, "at most 0.001", False),
        (3.98, 4.05, "at most 0.02", True),
        (3.98, 4.07, "at most 0.02", False),
        (math.nan, math.nan, "at most 0.001", False),
    ],
)
def test_rounding_in_fp32_widens_the_goal(monkeypatch, on_cpu, on_device, goal, reached):
    """To four times the distance of fp32 from fp64, 4.0, on the CPU."""
    gradients = ({"a": torch.tensor([value])} for value in (4.0, on_cpu, on_device))
    gradient = gradient_finding(monkeypatch, *gradients)
    assert (gradient.goal, gradient.reached) == (goal, reached)


def gradient_finding(monkeypatch: pytest.MonkeyPatch, *gradients: dict[str, Tensor]) -> Finding:
    """Of gradients in fp64 and fp32 on the CPU, and on the device."""
    results = iter([({"loss": 1.0}, one) for one in gradients])
    monkeypatch.setattr(agreement, "_first_step", lambda *_, **__: next(results))
    monkeypatch.setattr(agreement, "methods_of", lambda reduced: ["mae"])
    monkeypatch.setattr(agreement, "small_trial", lambda *_: None)
    found = {finding.what: finding for finding in first_steps(reduced=True)}
    return found["mae: gradient, relative to the largest"]


@pytest.mark.parametrize("factor", [1.0, 1.01])
def test_a_gradient_that_is_off_by_a_hundredth_misses_the_goal(monkeypatch, factor):
    true, calls = agreement.step_gradients, []

    def step(*given):
        terms, gradients = true(*given)
        calls.append(1)
        scale = factor if len(calls) == 3 else 1.0  # after fp64 and fp32 on the CPU
        return terms, {name: scale * value for name, value in gradients.items()}

    monkeypatch.setattr(agreement, "step_gradients", step)
    monkeypatch.setattr(agreement, "methods_of", lambda reduced: ["mae"])
    found = {finding.what: finding for finding in first_steps(reduced=True)}
    assert found["mae: loss, relative"].reached
    assert found["mae: gradient, relative to the largest"].reached is (factor == 1.0)


@pytest.fixture
def bf16_on_cpu(monkeypatch):
    """The comparison of bf16 with fp32 by the autocast of the CPU, which rounds alike."""
    monkeypatch.setattr(agreement, "uses_gpu", lambda: True)
    monkeypatch.setattr(train, "precision", lambda chosen: chosen)


def bf16_findings(method: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Finding, Finding]:
    """In differences by rounded weights, and relative."""
    monkeypatch.setattr(agreement, "methods_of", lambda reduced: [method])
    found = [finding for finding in first_steps(reduced=True) if "by bf16" in finding.what]
    return found[0], found[1]


SLOW_METHODS = sorted(set(agreement.methods_of(reduced=False)) - {"mae", "moco_v3", "spt"})


@pytest.mark.parametrize(
    "method",
    ["mae", "moco_v3", "spt", *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW_METHODS)],
)
def test_bf16_gradients_are_as_near_as_rounded_weights_allow(method, bf16_on_cpu, monkeypatch):
    """Also those of MoCo v3 and SPT, which are far from those in fp32."""
    times, relative = bf16_findings(method, monkeypatch)
    assert times.reached, times
    assert (relative.value > 0.2) == (method in ("moco_v3", "spt"))


def test_an_imprecise_gradient_in_bf16_misses_the_goal(bf16_on_cpu, monkeypatch):
    """Off by 3 % of its length, at a cosine of 0.9995."""
    true, calls = agreement.step_gradients, []

    def step(*given):
        terms, gradients = true(*given)
        calls.append(1)
        if len(calls) == 4:  # after fp64 and fp32 on the CPU, and fp32 on the device
            noise = torch.Generator().manual_seed(0)
            gradients = {
                name: value * (1 + 0.03 * torch.randn(value.shape, generator=noise))
                for name, value in gradients.items()
            }
        return terms, gradients

    monkeypatch.setattr(agreement, "step_gradients", step)
    times, relative = bf16_findings("mae", monkeypatch)
    assert relative.value == pytest.approx(0.03, abs=0.005)
    assert not times.reached

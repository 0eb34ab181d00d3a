"""The selective scan against its definition, one step after the other in fp64."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmark.errors import InputError
from benchmark.nn.selective_scan import (
    linear_recurrence,
    mamba_kernel,
    selective_scan,
    through_kernel,
)

Inputs = tuple[Tensor, ...]


def random_inputs(batch: int, groups: int, channels: int, states: int, length: int) -> Inputs:
    """x, Δ > 0, A < 0, B, C and D in fp64, from weak to strong decays."""
    generator = torch.Generator().manual_seed(length)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    x = normal(batch, groups, channels, length)
    delta = (2 * normal(batch, groups, channels, length) - 1).exp()
    A = -(2 * normal(groups, channels, states)).exp()
    B, C = normal(batch, groups, states, length), normal(batch, groups, states, length)
    return x, delta, A, B, C, normal(groups, channels)


def definition(x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """h_t = exp(Δ_t A) h_{t−1} + Δ_t B_t x_t; y_t = C_t h_t + D x_t."""
    h = torch.zeros(*x.shape[:3], A.shape[-1], dtype=x.dtype)
    outputs = []
    for t in range(x.shape[-1]):
        step = delta[..., t][..., None]
        h = torch.exp(step * A) * h + step * B[:, :, None, :, t] * x[..., t][..., None]
        outputs.append((C[:, :, None, :, t] * h).sum(-1) + D * x[..., t])
    return torch.stack(outputs, dim=-1)


@pytest.mark.parametrize("length", [1, 2, 3, 6, 7, 8, 19])
def test_recurrence_matches_a_loop(length: int) -> None:
    decay = torch.rand(2, length, 3, dtype=torch.float64)
    drive = torch.randn(2, length, 3, dtype=torch.float64)
    h = torch.zeros(2, 3, dtype=torch.float64)
    expected = torch.empty_like(drive)
    for t in range(length):
        h = decay[:, t] * h + drive[:, t]
        expected[:, t] = h
    torch.testing.assert_close(linear_recurrence(decay, drive, 1), expected, rtol=0, atol=1e-12)
    inputs = (decay.requires_grad_(), drive.requires_grad_())
    assert torch.autograd.gradcheck(lambda a, b: linear_recurrence(a, b, 1), inputs)


def test_recurrence_by_hand() -> None:
    decay, drive = torch.tensor([0.5, 0.5, 0.0, 1.0, 0.25]), torch.tensor([8.0, 2.0, 3.0, 1.0, 0.0])
    assert linear_recurrence(decay, drive).tolist() == [8.0, 6.0, 3.0, 4.0, 1.0]


@pytest.mark.parametrize("chunk", [1, 5, 23, 64])
def test_scan_and_gradients_match_the_definition(chunk: int) -> None:
    inputs = [tensor.requires_grad_() for tensor in random_inputs(2, 3, 4, 5, 23)]
    expected, found = definition(*inputs), selective_scan(*inputs, chunk=chunk)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    weight = torch.randn_like(expected)
    wanted = torch.autograd.grad((expected * weight).sum(), inputs)
    got = torch.autograd.grad((found * weight).sum(), inputs)
    for name, one, other in zip(("x", "Δ", "A", "B", "C", "D"), got, wanted):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10, msg=lambda m, n=name: n + m)


def test_gradients_match_finite_differences() -> None:
    inputs = [tensor.requires_grad_() for tensor in random_inputs(1, 2, 2, 2, 5)]
    assert torch.autograd.gradcheck(lambda *t: selective_scan(*t, chunk=2), inputs)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e3])
def test_long_sequences_are_accurate_in_fp32(scale: float) -> None:
    """56·56 steps, decays from almost 1 to exp(−1000), which is 0."""
    x, delta, A, B, C, D = random_inputs(1, 1, 2, 3, 3136)
    exact = (x, delta.clamp(max=2), scale * A, B, C, D)
    single = [tensor.float().requires_grad_() for tensor in exact]
    expected = definition(*exact)
    found = selective_scan(*single)
    assert found.dtype == torch.float32
    error = (found.detach().double() - expected).abs().max() / expected.abs().max()
    assert float(error) < 2e-5
    found.square().sum().backward()
    assert all(bool(tensor.grad.isfinite().all()) for tensor in single)


def test_hidden_states_are_not_saved_for_backward() -> None:
    inputs = [tensor.requires_grad_() for tensor in random_inputs(2, 2, 8, 16, 256)]
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        selective_scan(*inputs, chunk=64)
    states = 2 * 2 * 8 * 16 * 256
    assert 0 < sum(tensor.numel() for tensor in kept) < states / 2


def test_half_precision_is_computed_in_fp32() -> None:
    half = [tensor.bfloat16() for tensor in random_inputs(1, 2, 3, 4, 40)]
    found = selective_scan(*half)
    assert found.dtype == torch.float32
    expected = definition(*(tensor.double() for tensor in half))
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


def test_kernel_is_called_as_mamba_ssm_documents() -> None:
    """dim = groups · channels; B and C keep their groups, each for dim / groups channels."""

    def reference(
        u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, delta_softplus: bool
    ) -> Tensor:
        assert not delta_softplus
        assert all(t.is_contiguous() for t in (u, delta, A, B, C, D))
        dim, groups = u.shape[1], B.shape[1]
        B, C = (t.repeat_interleave(dim // groups, dim=1) for t in (B, C))
        one_each = definition(
            u[:, :, None], delta[:, :, None], A[:, None], B, C, D[:, None].contiguous()
        )
        return one_each[:, :, 0]

    inputs = random_inputs(2, 3, 4, 5, 7)
    found = through_kernel(reference, *inputs)
    torch.testing.assert_close(found, definition(*inputs), rtol=0, atol=1e-12)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty package `mamba_ssm` that can be imported."""
    folder = tmp_path / "mamba_ssm" / "ops"
    folder.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path))
    mamba_kernel.cache_clear()
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "mamba_ssm"]:
        del sys.modules[name]
    mamba_kernel.cache_clear()


def test_installed_kernel_is_found(package: Path) -> None:
    (package / "selective_scan_interface.py").write_text("def selective_scan_fn(): return 'fast'\n")
    assert mamba_kernel()() == "fast"


def test_broken_kernel_is_a_one_line_error(package: Path) -> None:
    (package / "selective_scan_interface.py").write_text("raise ImportError('no symbol\\nx')\n")
    with pytest.raises(InputError, match=r"does not load \(no symbol\); repair or uninstall") as e:
        mamba_kernel()
    assert "\n" not in str(e.value)

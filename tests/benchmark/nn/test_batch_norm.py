"""Synchronised batch norm: plain batch norm on one process, global statistics on two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from benchmark.nn.batch_norm import SyncBatchNorm1d, SyncBatchNorm2d, convert_sync_batchnorm


def network(norm: type[nn.BatchNorm1d] = nn.BatchNorm1d) -> nn.Module:
    """Affine batch norm of maps, then non-affine `norm` of vectors."""
    torch.manual_seed(0)
    norm = norm(8, affine=False)
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=0.3), nn.ReLU(), nn.Conv2d(4, 2, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), norm).train()


@pytest.fixture
def maps() -> Tensor:
    return torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 + 1


def step(model: nn.Module, maps: Tensor) -> Tensor:
    """Outputs of a forward pass; backpropagates a mean over the samples."""
    output = model(maps)
    (output * output.roll(1, dims=1) * torch.arange(8.0, device=maps.device)).mean().backward()
    return output


def test_single_process_is_plain_batch_norm(maps: Tensor) -> None:
    """Same state-dict names and bit-identical outputs."""
    plain = network()
    shared = convert_sync_batchnorm(network(SyncBatchNorm1d))
    assert isinstance(shared[1], SyncBatchNorm2d)
    assert list(shared.state_dict()) == list(plain.state_dict())
    assert torch.equal(step(shared, maps), step(plain, maps))
    assert torch.equal(shared[1].running_var, plain[1].running_var)
    assert torch.equal(shared.eval()(maps), plain.eval()(maps))


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_a_group_of_one_process_is_plain_batch_norm(
    maps: Tensor, device: str, tmp_path: Path
) -> None:
    """Outputs, gradients and running statistics; on a GPU also of torch's layer, as in training.

    In double precision, which TF32 does not round.
    """
    expected, plain = compute(network(), maps, device)
    backend = "nccl" if device == "cuda" else "gloo"
    torch.distributed.init_process_group(backend, f"file://{tmp_path}/join", rank=0, world_size=1)
    try:
        shared = convert_sync_batchnorm(network(SyncBatchNorm1d))
        found = [compute(shared, maps, device)]
        if device == "cuda":  # torch's layer refuses tensors on a CPU
            model = nn.SyncBatchNorm.convert_sync_batchnorm(network(SyncBatchNorm1d))
            found.append(compute(model, maps, device))
    finally:
        torch.distributed.destroy_process_group()
    for output, tensors in found:
        torch.testing.assert_close(output, expected)
        torch.testing.assert_close(tensors, plain)


def compute(model: nn.Module, maps: Tensor, device: str) -> tuple[Tensor, dict[str, Tensor]]:
    """Outputs of a step in double precision; gradients and state by name."""
    output = step(model.to(device, torch.float64), maps.to(device, torch.float64))
    gradients = {f"gradient of {name}": p.grad for name, p in model.named_parameters()}
    return output.detach(), {**gradients, **model.state_dict()}


def test_two_processes_normalise_by_the_global_batch(
    maps: Tensor, tmp_path: Path, run_pair: Callable[..., list]
) -> None:
    """Outputs, averaged gradients and running statistics of torch's layer on all four samples."""

    def work(rank: int) -> tuple:
        model = convert_sync_batchnorm(network(SyncBatchNorm1d))
        output = step(model, maps[2 * rank : 2 * rank + 2])
        gradients = {name: p.grad for name, p in model.named_parameters()}
        return output.detach(), gradients, model.state_dict()

    first, second = run_pair(work, tmp_path)
    plain = network()
    expected = step(plain, maps)
    torch.testing.assert_close(torch.cat([first[0], second[0]]), expected)
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close((first[1][name] + second[1][name]) / 2, parameter.grad)
    for _, _, state in (first, second):
        torch.testing.assert_close(state, dict(plain.state_dict()))

"""Losses and centres of two processes equal those of one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from benchmark.nn.objectives.contrastive import info_nce
from benchmark.nn.objectives.self_distillation import Centre


def samples() -> tuple[Tensor, Tensor]:
    """Queries and keys of a batch of six."""
    generator = torch.Generator().manual_seed(0)
    queries, keys = torch.randn(2, 6, 4, generator=generator, dtype=torch.float64)
    return queries.requires_grad_(), keys.requires_grad_()


def step(rows: slice) -> dict[str, Tensor]:
    """Loss on some of the samples, its gradient, and the centre after an update."""
    queries, keys = samples()
    loss = info_nce(queries[rows], keys[rows], 0.2)
    loss.backward()
    centre = Centre((1, 4)).double()
    centre.observe(keys[rows])
    centre.update()
    return {
        "loss": loss.detach(),
        "gradient": queries.grad,
        "centre": centre.value,
        "keys have a gradient": torch.tensor(keys.grad is not None),
    }


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory, run_pair: Callable[..., list]
) -> list[dict[str, Tensor]]:
    """Each with its half of the samples."""
    return run_pair(
        lambda rank: step(slice(3 * rank, 3 * rank + 3)), tmp_path_factory.mktemp("pair")
    )


@pytest.fixture(scope="module")
def alone() -> dict[str, Tensor]:
    return step(slice(None))


def test_keys_are_gathered_from_all_processes(
    both: list[dict[str, Tensor]], alone: dict[str, Tensor]
) -> None:
    torch.testing.assert_close((both[0]["loss"] + both[1]["loss"]) / 2, alone["loss"])
    assert not torch.allclose(both[0]["loss"], both[1]["loss"])
    mean = (both[0]["gradient"] + both[1]["gradient"]) / 2
    torch.testing.assert_close(mean, alone["gradient"])
    assert not any(found["keys have a gradient"] for found in both)


def test_centre_averages_all_samples(
    both: list[dict[str, Tensor]], alone: dict[str, Tensor]
) -> None:
    assert torch.equal(both[0]["centre"], both[1]["centre"])
    torch.testing.assert_close(both[0]["centre"], alone["centre"])
    torch.testing.assert_close(alone["centre"], 0.1 * samples()[1].detach().mean(0, keepdim=True))

"""Two processes: what they gather and sum, and losses and centres that are those of one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmark.nn.collectives import all_reduce_sum, gather_samples, rank_and_world_size
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
        "gathered": gather_samples(keys[rows]),
        "sum": all_reduce_sum(keys[rows].sum(dim=0)),
        "place": torch.tensor(rank_and_world_size()),
        "keys have a gradient": torch.tensor(keys.grad is not None),
    }


def work(rank: int, folder: str) -> None:
    """What each of two processes does with its half."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{folder}/join", rank=rank, world_size=2)
    torch.save(step(slice(3 * rank, 3 * rank + 3)), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    folder = tmp_path_factory.mktemp("pair")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    processes = [
        subprocess.Popen([sys.executable, __file__, str(rank), str(folder)], env=environment)
        for rank in range(2)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.fixture(scope="module")
def alone() -> dict[str, Tensor]:
    return step(slice(None))


def test_alone_nothing_is_exchanged(alone: dict[str, Tensor]) -> None:
    keys = samples()[1].detach()
    assert torch.equal(alone["gathered"], keys)
    assert torch.equal(alone["sum"], keys.sum(dim=0))
    assert alone["place"].tolist() == [0, 1]


def test_every_process_has_the_samples_of_all(
    both: list[dict[str, Tensor]], alone: dict[str, Tensor]
) -> None:
    """In the order of the processes."""
    for rank, found in enumerate(both):
        assert found["place"].tolist() == [rank, 2]
        assert torch.equal(found["gathered"], alone["gathered"])
        torch.testing.assert_close(found["sum"], alone["sum"])


def test_keys_of_all_processes_are_candidates(
    both: list[dict[str, Tensor]], alone: dict[str, Tensor]
) -> None:
    """Positives are found behind those of the processes before; the mean is the whole batch's."""
    torch.testing.assert_close((both[0]["loss"] + both[1]["loss"]) / 2, alone["loss"])
    assert not torch.allclose(both[0]["loss"], both[1]["loss"])
    mean = (both[0]["gradient"] + both[1]["gradient"]) / 2
    torch.testing.assert_close(mean, alone["gradient"])
    assert not any(found["keys have a gradient"] for found in both)


def test_centre_follows_all_samples(
    both: list[dict[str, Tensor]], alone: dict[str, Tensor]
) -> None:
    """The same on both, and that of one process with the whole batch."""
    assert torch.equal(both[0]["centre"], both[1]["centre"])
    torch.testing.assert_close(both[0]["centre"], alone["centre"])
    torch.testing.assert_close(alone["centre"], 0.1 * samples()[1].detach().mean(0, keepdim=True))


if __name__ == "__main__":
    work(int(sys.argv[1]), sys.argv[2])

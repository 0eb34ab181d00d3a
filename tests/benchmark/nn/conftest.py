"""Two processes of one group."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

Work = Callable[[int], Any]
# What the tests have imported need not be imported again.
_FORK = multiprocessing.get_context("fork")


def _run(work: Work, rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{folder}/join", rank=rank, world_size=2)
    torch.save(work(rank), folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="session")
def run_pair() -> Callable[[Work, Path], list[Any]]:
    """Call ``work(rank)`` in two processes; returns what it returns in each."""

    def run(work: Work, folder: Path) -> list[Any]:
        processes = [_FORK.Process(target=_run, args=(work, rank, folder)) for rank in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(120)
        assert [process.exitcode for process in processes] == [0, 0]
        return [torch.load(folder / f"{rank}.pt") for rank in range(2)]

    return run

"""Joining the process group on GPUs, one for each process."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchmark.training.distributed import setup
from benchmark.training.distributed.launch import Launch
from benchmark.training.distributed.setup import process_group
from benchmark.training.distributed.signals import RunEnded


@pytest.fixture
def joined(gpu: None, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What torch is asked for, on a machine with four GPUs; no group is started."""
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: asked.append(("own", device)))
    monkeypatch.setattr(
        torch.distributed,
        "init_process_group",
        lambda backend, **options: asked.append((backend, options["device_id"])),
    )
    return asked


@pytest.fixture
def started_as(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(setup, "Watchdog", lambda *_: pytest.MonkeyPatch.context())
    return lambda *numbers: monkeypatch.setattr(setup, "launch", lambda: Launch(*numbers))


def test_each_process_names_its_gpu(joined, started_as):
    """Of the second machine of two; torch then needs no guess, nor waits for a first exchange."""
    started_as(7, 3, 8)
    with process_group():
        pass
    assert joined == [("own", torch.device("cuda", 3)), ("nccl", torch.device("cuda", 3))]


@pytest.mark.parametrize(("local_rank", "speaks"), [(4, True), (5, False)])
def test_more_processes_than_gpus_are_one_line(local_rank, speaks, joined, started_as, capsys):
    """Of the first process without, whichever machine it is on; none joins."""
    started_as(6 + local_rank, local_rank, 12)
    with pytest.raises(RunEnded) as end, process_group():
        pass
    assert end.value.exit_code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == speaks
    if speaks:
        assert said.startswith("error: rank 10 (process ")
        assert "is process 5 on its machine, where a process sees 4 GPUs; start one" in said
    assert joined == []

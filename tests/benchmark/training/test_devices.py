"""On a machine with a GPU: what is asked to stay on the CPU does, and nothing is on both."""

from __future__ import annotations

import os
import runpy
import shutil
import sys
from multiprocessing.context import ForkServerProcess

import pytest
import torch
from torch import Tensor

from benchmark.checks.contract import CHECKS, ContractTrial, _verdict
from benchmark.checks.two_processes import ProcessPair
from benchmark.data.views.single import SingleView
from benchmark.device import VARIABLE
from benchmark.training.train import check, dry_run, train


def test_a_tool_takes_the_option(work, root, tmp_path, gpu, monkeypatch, capsys):
    pack = tmp_path / "pack"
    shutil.copytree(work / "packs" / "xa170k", pack)
    monkeypatch.setenv(VARIABLE, "auto")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.syspath_prepend(root / "tools")
    options = ["--border", "3", "--overwrite", "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["extract_anatomy.py", str(pack), *options])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(root / "tools" / "extract_anatomy.py"), run_name="__main__")
    assert "vessels of 14 frames (sato, α = 92, border 3 px)" in capsys.readouterr().out


@pytest.mark.parametrize(("device", "waits"), [("cuda", False), ("cuda:1", False), ("cpu", True)])
def test_batches_are_waited_for_unless_they_go_to_a_gpu(device, waits, monkeypatch):
    """The host would read a batch that is still being copied to it."""
    asked: list[tuple[torch.device, bool]] = []

    def copy(value: Tensor, device: torch.device, non_blocking: bool = False) -> Tensor:
        asked.append((device, not non_blocking))
        return value

    maker = SingleView(size=8)
    maker._device = torch.device(device)
    monkeypatch.setattr(torch.Tensor, "to", copy)
    maker.cast_data({"frame": torch.zeros(2, 8, 8, dtype=torch.uint8), "index": torch.arange(2)})
    assert asked == [(torch.device(device), waits)] * 2


@pytest.mark.parametrize("check", ["finite loss", "exact resume"])
def test_the_contract_is_tried_on_the_cpu(check, gpu, small_config, tmp_path):
    """Method and batches: with a GPU that is not there, anything on it would fail."""
    verdict = _verdict(check, CHECKS[check], ContractTrial(small_config("mae"), tmp_path))
    assert verdict.passed, verdict.detail


def test_so_are_its_two_processes(gpu, monkeypatch):
    inherited: list[str | None] = []
    monkeypatch.setattr(
        ForkServerProcess, "start", lambda _: inherited.append(os.environ.get(VARIABLE))
    )
    ProcessPair()._start()
    assert inherited == ["cpu", "cpu"]


@pytest.mark.parametrize("what", ["check", "dry run", "training"])
def test_a_run_gives_back_the_threads_it_takes(what, small_config, tmp_path):
    before, folder = torch.get_num_threads(), tmp_path / "run"
    config = small_config("mae", f"num_threads={before + 1}", "epochs=1")
    if what == "check":
        check(config, folder, resume=False, overwrite=False, processes=1)
    elif what == "dry run":
        dry_run(config, "test")
    else:
        train(config, folder, "test", resume=False, overwrite=False)
    assert torch.get_num_threads() == before

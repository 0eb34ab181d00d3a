"""The CPU can be asked for where there is a GPU, and all that chooses a device obeys."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from benchmark import device as devices
from benchmark.device import (
    VARIABLE,
    choose_algorithms,
    on_cpu,
    precision,
    restored_settings,
    uses_gpu,
)
from benchmark.errors import InputError
from benchmark.sweep.gpus import visible_gpus
from benchmark.training.distributed import setup
from benchmark.training.distributed.launch import Launch
from benchmark.training.runner import Runner

ROOT = Path(__file__).resolve().parents[2]
# Measures or describes GPUs, or keys their generators, whatever trains.
_LOOK_AT_HARDWARE = {
    "benchmark/device.py",
    "benchmark/randomness.py",
    "benchmark/speed/anatomy.py",
    "benchmark/checks/environment/__init__.py",
    "benchmark/checks/environment/processors.py",
}


@pytest.mark.parametrize(
    ("value", "there", "used"),
    [
        (None, True, True),
        (None, False, False),
        ("", True, True),
        ("auto", True, True),
        ("auto", False, False),
        ("cpu", True, False),
        ("cpu", False, False),
        ("cuda", True, True),
    ],
)
def test_what_is_asked_for_is_used(value, there, used, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setenv(VARIABLE, value) if value is not None else monkeypatch.delenv(VARIABLE)
    assert uses_gpu() is used
    assert devices.device() == torch.device("cuda" if used else "cpu")
    assert precision("bf16") == ("bf16" if used else "fp32")


def test_what_cannot_be_is_refused_in_a_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for value, message in (
        ("cuda", "ANGIO_DEVICE=cuda .--device cuda.: torch finds no GPU"),
        ("gpu", "ANGIO_DEVICE=gpu: expected auto, cpu or cuda"),
    ):
        monkeypatch.setenv(VARIABLE, value)
        with pytest.raises(InputError, match=message):
            uses_gpu()


@pytest.mark.parametrize("before", [None, "cuda"])
def test_on_cpu_holds_for_the_block(gpu, before, monkeypatch):
    if before is not None:
        monkeypatch.setenv(VARIABLE, before)
    with contextlib.suppress(ZeroDivisionError), on_cpu():
        assert not uses_gpu()
        child = [sys.executable, "-c", f"import os; print(os.environ['{VARIABLE}'])"]
        assert subprocess.run(child, capture_output=True, text=True).stdout == "cpu\n"
        raise ZeroDivisionError
    assert os.environ.get(VARIABLE) == before
    assert uses_gpu()


def test_nothing_else_looks_for_a_gpu():
    """A second place that chooses would not know of what is asked for."""
    looking = {
        str(path.relative_to(ROOT))
        for folder in ("benchmark", "methods", "tools", "leaderboard", "configs")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"cuda\.is_available|is_cuda_available|get_device\(\)", path.read_text())
    }
    assert looking == _LOOK_AT_HARDWARE


def test_models_and_processes_stay_on_the_cpu(gpu, monkeypatch):
    started: list[str] = []
    monkeypatch.setattr(
        torch.distributed, "init_process_group", lambda kind, **_: started.append(kind)
    )
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: None)
    monkeypatch.setattr(setup, "launch", lambda: Launch(0, 0, 1))
    monkeypatch.setattr(setup, "Watchdog", lambda *_: contextlib.nullcontext())
    with on_cpu():
        with setup.process_group():
            pass
        alone = SimpleNamespace(distributed=False)
        model = Runner.wrap_model(alone, None, nn.Linear(1, 1))
    assert started == ["gloo"]
    assert model.weight.device.type == "cpu"


def test_a_sweep_lends_no_gpus(gpu, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert len(visible_gpus()) == 2
    with on_cpu():
        assert visible_gpus() == []


@pytest.mark.parametrize(
    ("asked", "device"), [("", "cpu"), ("gpu", "auto"), ("gpu and slow", "auto")]
)
def test_tests_use_the_gpu_only_when_asked(asked, device, gpu, monkeypatch):
    """And those that need it are skipped otherwise."""
    spec = importlib.util.spec_from_file_location("tests_conftest", ROOT / "tests" / "conftest.py")
    conftest = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conftest)
    monkeypatch.setenv(VARIABLE, "none")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    config = SimpleNamespace(option=SimpleNamespace(markexpr=asked, randomly_reset_seed=True))
    conftest.pytest_configure(config)
    assert os.environ[VARIABLE] == device
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ("" if device == "cpu" else "0")
    marked: list[str] = []

    def item(name: str, mark: str | None) -> SimpleNamespace:
        return SimpleNamespace(
            get_closest_marker=lambda wanted: mark == wanted,
            add_marker=lambda _: marked.append(name),
        )

    conftest.pytest_collection_modifyitems(config, [item("there", "gpu"), item("here", None)])
    assert marked == (["there"] if device == "cpu" else [])


def algorithms() -> tuple[bool, ...]:
    """What torch may use: cuDNN's choice by time, its exact ones only, exact ones elsewhere."""
    cudnn = torch.backends.cudnn
    exact = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    return cudnn.benchmark, cudnn.deterministic, exact, warns


def test_algorithms_are_chosen_and_restored(monkeypatch):
    """With the number of threads, also after an error."""
    monkeypatch.setattr(os, "environ", {})
    before, threads = algorithms(), torch.get_num_threads()
    with contextlib.suppress(ZeroDivisionError), restored_settings():
        choose_algorithms(cudnn_benchmark=True)
        assert algorithms()[:3] == (True, False, False)
        choose_algorithms(deterministic=True)
        assert algorithms() == (False, True, True, True)
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        torch.set_num_threads(threads + 1)
        raise ZeroDivisionError
    assert (algorithms(), torch.get_num_threads()) == (before, threads)


@pytest.mark.parametrize("on_gpu", [True, False])
def test_deterministic_attention_is_not_fused_on_a_gpu(on_gpu, monkeypatch):
    """Within the block; on a CPU, whose fused kernel is deterministic, nothing changes."""
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(devices, "uses_gpu", lambda: on_gpu)
    cuda = torch.backends.cuda
    fused = (cuda.flash_sdp_enabled, cuda.mem_efficient_sdp_enabled, cuda.cudnn_sdp_enabled)
    with restored_settings():
        choose_algorithms(deterministic=True)
        assert [enabled() for enabled in fused] == 3 * [not on_gpu]
        assert cuda.math_sdp_enabled()
    assert all(enabled() for enabled in fused)


def test_algorithms_exclude_each_other():
    with restored_settings(), pytest.raises(InputError, match="set env_cfg to one of the two"):
        choose_algorithms(cudnn_benchmark=True, deterministic=True)

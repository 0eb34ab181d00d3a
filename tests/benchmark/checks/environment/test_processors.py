"""Cores, memory and limits, compared with the needs of the published recipe."""

from __future__ import annotations

import os
import resource
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from benchmark.checks.environment import Finding, amount, processors
from benchmark.device import VARIABLE
from benchmark.training.config import load_config

ROOT = Path(__file__).resolve().parents[4]
GIB = 2**30


def by_name(findings) -> dict[str, Finding]:
    return {found.name: found for found in findings}


def test_recipe_matches_the_configs():
    config = load_config(ROOT / "configs" / "mae" / "pretrain.py", "paper", [])
    assert (config.batch_size, config.num_workers) == (
        processors.BATCH_SIZE,
        processors.NUM_WORKERS,
    )


@pytest.mark.parametrize(
    ("text", "cores"),
    [("max 100000", None), ("150000 100000", 1.5), ("99900000 100000", None)],
)
def test_cores_are_limited_by_the_cgroup(tmp_path, text, cores):
    file = tmp_path / "cpu.max"
    file.write_text(text + "\n")
    bound = len(os.sched_getaffinity(0))
    assert processors.usable_cores(file) == (bound if cores is None else min(cores, bound))


def test_memory_is_limited_by_the_cgroup(tmp_path):
    total, free = processors.usable_memory(tmp_path)
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert abs(total - pages) < 0.01 * pages
    assert 0 < free <= total
    (tmp_path / "memory.max").write_text(f"{3 << 20}\n")
    (tmp_path / "memory.current").write_text(f"{1 << 20}\n")
    assert processors.usable_memory(tmp_path) == (3 << 20, 2 << 20)
    (tmp_path / "memory.max").write_text("max\n")
    assert processors.usable_memory(tmp_path)[0] == total


def test_packs_larger_than_memory_are_slow(monkeypatch):
    monkeypatch.setattr(processors, "usable_memory", lambda: (20 * GIB, 10 * GIB))
    assert processors.examine_memory(8 * GIB).state == "ok"
    found = processors.examine_memory(10 * GIB)
    assert found.state == "slow"
    assert "10.0 GiB" in found.advice


def test_shared_memory_holds_the_batches_of_all_loaders():
    """4 loaders × 2 batches: of 2,048 frames on one GPU, of 256 on each of 8 GPUs."""
    frame = 512 * 512 + 512 * 512 // 8
    assert processors.shared_memory_needed(1, frame) == 4 * 2 * 2048 * frame
    assert processors.shared_memory_needed(8, frame) == 8 * 4 * 2 * 256 * frame


def test_small_shared_memory_names_the_required_size(monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(processors.shutil, "disk_usage", lambda path: usage(0, 0, 64 << 20))
    found = by_name(processors.examine_limits(1, 2**18))["shared memory"]
    assert found.state == "missing"
    assert "--shm-size=5g" in found.advice  # 8 · 2,048 frames of 256 KiB are 4 GiB
    assert by_name(processors.examine_limits(1, 2))["shared memory"].state == "ok"


@pytest.mark.parametrize(
    ("limit", "state"), [(64, "missing"), (1024, "ok"), (resource.RLIM_INFINITY, "ok")]
)
def test_few_open_files_are_missing(monkeypatch, limit, state):
    monkeypatch.setattr(resource, "getrlimit", lambda which: (limit, limit))
    assert by_name(processors.examine_limits(1, 1))["open files"].state == state


def test_oversubscription_and_load_are_slow(monkeypatch):
    monkeypatch.setattr(processors, "usable_cores", lambda: 4.0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(os, "getloadavg", lambda: (3.0, 0.0, 0.0))
    found = by_name(processors.examine_cpu(1))
    assert [found[name].state for name in ("cpu cores", "torch threads", "load")] == ["slow"] * 3
    assert "OMP_NUM_THREADS=4" in found["torch threads"].advice
    monkeypatch.setattr(processors, "usable_cores", lambda: 8.0)
    assert {one.state for one in processors.examine_cpu(1)} == {"ok"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="of machines without a GPU")
@pytest.mark.parametrize(
    ("driver", "cuda", "state", "words"),
    [
        ([], "13.0", "slow", "--scale tiny"),
        (["535.1"], None, "missing", "built without CUDA"),
        (["535.1"], "13.0", "missing", "driver for CUDA 13.0"),
    ],
)
def test_invisible_gpus_are_explained(monkeypatch, driver, cuda, state, words):
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr(processors, "_nvidia_smi", lambda field: driver)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    (found,) = processors.examine_gpus()
    assert found.state == state
    assert words in found.advice


def test_requested_cpu_is_not_a_missing_gpu(monkeypatch):
    monkeypatch.setenv(VARIABLE, "cpu")
    monkeypatch.setattr(processors, "_nvidia_smi", lambda field: ["535.1"])
    (found,) = processors.examine_gpus()
    assert (found.name, found.state) == ("device", "slow")


def test_gpu_findings(monkeypatch):
    """Those of an H100 half used by other processes, and of an old GPU on a narrow bus."""
    facts = SimpleNamespace(name="H100", major=9, minor=0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: facts)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (40 * GIB, 80 * GIB))
    monkeypatch.setattr(processors, "_copy_rate", lambda device: 25e9)
    monkeypatch.setattr(processors, "_product_rate", lambda device: 700e12)
    found = by_name(processors._examine_gpu(0))
    assert found["gpu 0"].state == "slow"
    assert found["gpu 0, bf16"].value == "700 TFLOP/s in matrix products"
    assert found["gpu 0, copies"].state == "ok"
    facts.major, facts.name = 7, "T4"
    monkeypatch.setattr(processors, "_copy_rate", lambda device: 1e9)
    found = by_name(processors._examine_gpu(0))
    assert "precision=fp32" in found["gpu 0, bf16"].advice
    assert found["gpu 0, copies"].state == "slow"


@pytest.mark.gpu
def test_gpu_of_this_machine_is_measured():
    found = by_name(processors.examine_gpus())
    assert found["cuda"].value.startswith(torch.version.cuda)
    assert torch.cuda.get_device_name(0) in found["gpu 0"].value
    assert processors._copy_rate(torch.device("cuda", 0)) > 0


def test_amount():
    assert [amount(n) for n in (5, 1536, 3 << 30, 5 << 40)] == [
        *("5 B", "1.5 KiB", "3.0 GiB", "5.0 TiB")
    ]

"""No training step syncs with the host: simulated on a CPU, verified on a GPU if there is one."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from no_host_sync import NoCopyFromHost, NoHostSync, on_simulated_gpu
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from benchmark.checks.contract import prepare
from benchmark.method import Progress
from benchmark.method_cards import CONFIGS
from benchmark.speed.loops import of_harness
from benchmark.training.config import fill_paths, load_config
from benchmark.training.train import TrainingParts, assemble, make_run, make_runner

METHODS = sorted(path.parent.name for path in CONFIGS.glob("*/pretrain.py"))
# Simulating a GPU for the others takes too long for the default tests.
QUICK = ("mae", "vasomim")
on_cpu = pytest.mark.parametrize(
    "method",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in METHODS],
)
MakeParts = Callable[..., TrainingParts]
FROZEN = r"(teacher|target|momentum)_|segmentor\.|.*pos_embed$|.*weight_g$|encoder\.patch_embed\."


@pytest.fixture(scope="module")
def make_parts(tmp_path_factory: pytest.TempPathFactory) -> MakeParts:
    """Build the run of a method on a few small frames, with overrides of its config."""
    work = tmp_path_factory.mktemp("sync")

    def make(method: str, **options: object) -> TrainingParts:
        config = load_config(CONFIGS / method / "pretrain.py", "tiny")
        fill_paths(config, work)
        prepare(config, work)
        config.update(options)
        return assemble(config)

    return make


def at(step: int) -> Progress:
    """Progress at a step of a run of four epochs with three steps each."""
    return Progress(seed=0, epoch=step // 3, epochs=4, step=step, steps_per_epoch=3)


@pytest.mark.parametrize("method", METHODS)
def test_a_step_trains_everything_without_a_sync(method: str, make_parts: MakeParts) -> None:
    """Views, loss, backward and update; frozen are positions, teachers and the like."""
    parts = make_parts(method)
    model, batch = parts.method.train(), next(iter(parts.loader))
    calls: list[str] = []
    model.get_submodule(model.encoder_name).register_forward_hook(
        lambda *_: calls.append("encoder")
    )
    model.progress = at(7)
    model(**model.views(batch))  # results cached on the host may be computed once
    assert calls or model.observed, "nothing shows a collapse"
    assert all(features.ndim == 2 for features in model.observed)
    with NoHostSync():
        terms = model(**model.views(batch))
        sum(value for name, value in terms.items() if "loss" in name).backward()
        model.after_step(at(7))
    parameters = dict(model.named_parameters())
    untrained = {name for name, p in parameters.items() if p.grad is None or not p.grad.any()}
    frozen = {name for name, p in parameters.items() if not p.requires_grad}
    assert untrained == frozen
    assert all(re.match(FROZEN, name) for name in frozen), frozen


@on_cpu
def test_nothing_is_read_or_copied_in_a_step(method: str, make_parts: MakeParts) -> None:
    parts = make_parts(method)
    model, batch = parts.method.train(), next(iter(parts.loader))
    model.progress = at(7)
    model(**model.views(batch))  # results cached on the host may be computed once
    model.after_step(at(7))
    with on_simulated_gpu(model, batch) as on_gpu:
        model.progress = at(7)
        terms = model(**model.views(on_gpu))
        model.after_step(at(7))
    assert {value.device.type for value in terms.values()} == {"cuda"}


def test_the_simulated_gpu_catches_syncs() -> None:
    """Reading a value, copying to the host, and creating a tensor from Python numbers."""
    module, batch = torch.nn.Linear(2, 1), {"x": torch.ones(3, 2)}
    with on_simulated_gpu(module, batch) as on_gpu:
        result = module(on_gpu["x"])
        with pytest.raises(DataDependentOutputException):
            result.sum().item()
        for sync in (lambda: result.cpu(), lambda: torch.tensor([1.0, 2.0], device="cuda")):
            with pytest.raises(AssertionError, match="waits for the device"):
                sync()
        result.to("cpu", non_blocking=True)
    with FakeTensorMode(), NoCopyFromHost():
        torch.zeros(2).copy_(torch.ones(2))  # both on the host


@on_cpu
def test_views_are_the_same_under_autocast(method: str, make_parts: MakeParts) -> None:
    parts = make_parts(method)
    views, batch = parts.method.views, next(iter(parts.loader))
    plain = views(batch)["views"]
    with torch.autocast("cpu", torch.bfloat16):
        rounded = views(batch)["views"]
    assert plain.keys() == rounded.keys()
    for name, value in plain.items():
        assert value.dtype == rounded[name].dtype
        assert torch.equal(value, rounded[name]), name


@pytest.mark.gpu
@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_no_step_waits_for_the_host(
    method: str, resident: bool, make_parts: MakeParts, tmp_path: Path
) -> None:
    parts = make_parts(
        method,
        resident=resident,
        precision="bf16",
        batch_size=2,
        micro_batch=None,
        log_interval=1000,
    )
    runner = make_runner(parts, make_run(parts, tmp_path, method))
    steps = of_harness(runner, tmp_path)
    steps(2)  # workspaces and optimiser states are allocated
    torch.cuda.set_sync_debug_mode("error")
    try:
        for number in (2, 3):
            steps.loop.run_iter(number, next(steps.batches))
    finally:
        torch.cuda.set_sync_debug_mode("default")

"""What the runner hands to torch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from child_runs import read_log
from safetensors.torch import load_file
from torch import nn

from benchmark.errors import InputError
from benchmark.results import config_hash
from benchmark.training import runner
from benchmark.training.config import to_plain
from benchmark.training.hooks import StepHook
from benchmark.training.train import train


@pytest.mark.parametrize(("parts", "static"), [(1, True), (2, False)])
def test_the_graph_is_static_without_accumulation(parts, static, monkeypatch):
    """Every step uses the same parameters, which saves torch a search for unused ones."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(runner, "MMDistributedDataParallel", lambda model, **options: options)
    wrapper = SimpleNamespace(parts=parts)
    of_run = SimpleNamespace(distributed=True, optim_wrapper=wrapper)
    options = runner.Runner.wrap_model(of_run, None, nn.Linear(1, 1))
    assert options["static_graph"] is static
    assert not options["broadcast_buffers"]


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, bool]]:
    """At each training step, whether cuDNN chooses by time, and whether it keeps to exact ones."""
    found: list[tuple[bool, bool]] = []
    usual = StepHook.before_train_iter

    def before(hook: StepHook, *arguments: Any, **named: Any) -> None:
        usual(hook, *arguments, **named)
        found.append((torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic))

    monkeypatch.setattr(StepHook, "before_train_iter", before)
    return found


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (None, (False, False)),
        ("{'cudnn_benchmark': True}", (True, False)),
        ("{'deterministic': True}", (False, True)),
    ],
)
def test_algorithms_of_a_run_are_those_of_its_config(
    settings, expected, small_config, tmp_path, chosen, monkeypatch
):
    """In its steps, not after them; its config hash and on a CPU its weights are the same."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    plain = small_config("mae", "epochs=1")
    config = small_config("mae", "epochs=1", *([f"env_cfg={settings}"] if settings else []))
    assert config_hash(to_plain(config)) == config_hash(to_plain(plain))
    train(config, tmp_path / "run", "run", resume=False, overwrite=False)
    assert set(chosen) == {expected}
    assert not torch.backends.cudnn.benchmark
    assert not torch.backends.cudnn.deterministic
    train(plain, tmp_path / "plain", "plain", resume=False, overwrite=False)
    assert chosen[-1] == (False, False)
    assert read_log(tmp_path / "run") == read_log(tmp_path / "plain")
    weights = [(tmp_path / name / "encoder.safetensors") for name in ("run", "plain")]
    one, two = (load_file(path) for path in weights)
    assert all(torch.equal(one[name], two[name]) for name in two)


def test_settings_of_other_kinds_are_refused(small_config):
    with pytest.raises(InputError, match=r"env_cfg=.*'cudnn_benchmark' or 'deterministic'"):
        small_config("mae", "env_cfg={'dist_cfg': {'backend': 'nccl'}}")

"""TensorBoard and W&B get the scalars of ``metrics.jsonl``, exactly and at their steps."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from event_files import Scalars, in_the_log, read_events

from benchmark.training.run import clear_run
from benchmark.training.train import train

BACKENDS = [{"type": "TensorboardVisBackend"}, {"type": "WandbVisBackend"}]


class Writer:
    """A ``SummaryWriter`` that keeps what it is given."""

    sent: Scalars = []

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def add_scalar(self, name: str, value: float, step: int, **how: Any) -> None:
        assert how == {"new_style": True, "double_precision": True}, "else it is fp32"
        self.sent.append((name, step, value))

    def flush(self) -> None:
        pass

    close = flush


@pytest.fixture
def config(small_config):
    made = small_config("mae", "epochs=2", "log_interval=1")
    made.visualizer = {"type": "Visualizer", "vis_backends": BACKENDS}
    return made


@pytest.fixture
def fakes(monkeypatch) -> SimpleNamespace:
    """The two packages, keeping what they are given."""
    tensorboard, wandb = ModuleType("tensorboard"), ModuleType("wandb")
    tensorboard.SummaryWriter = Writer
    seen = SimpleNamespace(writer=Writer, init={}, wandb=[], finished=0)
    Writer.sent.clear()

    def finish() -> None:
        seen.finished += 1

    wandb.init = lambda **how: seen.init.update(how)
    wandb.log = lambda values, step: seen.wandb.extend((n, step, v) for n, v in values.items())
    wandb.finish = finish
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", tensorboard)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.setattr("benchmark.training.hooks.visualizer.find_spec", lambda name: name)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    return seen


def test_both_get_the_scalars_of_the_log(config, fakes, tmp_path):
    train(config, tmp_path / "run", "MAE", resume=False, overwrite=False)
    expected = in_the_log(tmp_path / "run")
    assert {"loss", "lr", "epoch", "feature_std", "effective_rank"} <= {n for n, *_ in expected}
    assert fakes.writer.sent == expected
    assert fakes.wandb == expected
    assert fakes.finished == 1
    assert (fakes.init["mode"], fakes.init["name"]) == ("offline", "MAE")
    assert fakes.init["config"]["epochs"] == 2
    assert fakes.init["dir"] == str(tmp_path / "run" / "mmengine" / "vis_data")


def test_settings_of_the_user_win(config, fakes, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    own = {"type": "WandbVisBackend", "init_kwargs": {"project": "mine"}}
    config.visualizer = {"type": "Visualizer", "vis_backends": [own]}
    train(config, tmp_path / "run", "MAE", resume=False, overwrite=False)
    assert (fakes.init["mode"], fakes.init["project"]) == ("online", "mine")


def test_a_missing_package_is_one_line(config, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("benchmark.training.hooks.visualizer.find_spec", lambda name: None)
    train(config, tmp_path / "run", "MAE", resume=False, overwrite=False)
    said = [line for line in capsys.readouterr().out.splitlines() if "visualizer" in line]
    assert said == [
        f"warning: visualizer: {name}VisBackend is skipped, {name.lower()} is not installed "
        f"(pip install {name.lower()})"
        for name in ("Tensorboard", "Wandb")
    ]


def test_event_files_hold_the_scalars_exactly(config, tmp_path):
    """Read with TensorBoard's own reader; those of a probe, too."""
    config.visualizer = {"type": "Visualizer", "vis_backends": BACKENDS[:1]}
    config.default_hooks.probe.interval = 1
    train(config, tmp_path / "run", "MAE", resume=False, overwrite=False)
    expected = sorted(in_the_log(tmp_path / "run"))
    assert read_events(tmp_path / "run") == expected
    assert [name for name, *_ in expected if name.startswith("probe")] == [
        *("probe_ap", "probe_ap", "probe_ap", "probe_chance")
    ]


def test_overwrite_removes_what_they_write(tmp_path):
    data = tmp_path / "mmengine" / "vis_data"
    run = data / "wandb" / "offline-run-1"
    for path in (
        *(data / "events.out.tfevents.1", data / "scalars.json", data / "vis_image" / "a_4.png"),
        *(data / "wandb" / "debug.log", run / "run-1.wandb", run / "files" / "media" / "a.png"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (run / "tmp" / "code").mkdir(parents=True)
    (data / "wandb" / "latest-run").symlink_to(run)
    clear_run(tmp_path)
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == []

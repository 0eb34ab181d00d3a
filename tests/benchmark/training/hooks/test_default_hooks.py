"""`default_hooks`, `custom_hooks` and `visualizer` of a config, as OpenMMLab users know them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.hooks import Hook

from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS
from benchmark.training.config import load_config
from benchmark.training.hooks import DEFAULT_HOOKS, LogHook, build_hooks
from benchmark.training.train import train

ran: list[str] = []


class Counting(Hook):
    """Notes the steps it sees."""

    def __init__(self, name: str = "counting") -> None:
        self.name = name

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        ran.append(f"{self.name} {runner.iter}")


class QuietLog(LogHook):
    pass


def config(**changes: Any) -> Config:
    return Config({**load_config(CONFIGS / "mae" / "pretrain.py", "tiny")._cfg_dict, **changes})


def test_the_base_names_the_hooks_of_every_run():
    base = load_config(CONFIGS / "mae" / "pretrain.py").default_hooks
    assert {name: spec["type"] for name, spec in base.items()} == DEFAULT_HOOKS
    without = Config({k: v for k, v in config().items() if k != "default_hooks"})
    kinds = [[type(hook) for hook in build_hooks(c, 7)] for c in (config(), without)]
    assert kinds[0] == kinds[1] == list(DEFAULT_HOOKS.values())
    assert [type(hook).__name__ for hook in build_hooks(config(), None)] == ["StopTestHook"]


def test_hooks_are_changed_replaced_disabled_and_added():
    """Settings of the config hold for the hooks that say nothing else."""
    changes = dict(
        logger=dict(type=QuietLog, screen_seconds=9.0),
        checkpoint=dict(interval=3),
        collapse=None,
        timer=dict(type="IterTimerHook", priority="LOWEST"),
        sampler_seed=None,
    )
    added = [dict(type=Counting, name="mine", priority=77)]
    hooks = build_hooks(config(default_hooks=changes, custom_hooks=added), 7)
    named = {type(hook).__name__: hook for hook in hooks}
    assert list(named) == [
        *("StepHook", "NonFiniteHook", "QuietLog", "CheckpointHook", "StopTestHook"),
        *("ReconstructionHook", "ProbeHook", "IterTimerHook", "Counting"),
    ]
    assert (named["QuietLog"].interval, named["QuietLog"].screen_seconds) == (5, 9.0)
    assert named["CheckpointHook"].interval == 3
    assert (named["IterTimerHook"].priority, named["Counting"].priority) == ("LOWEST", 77)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"checkpoint": None}, "default_hooks.checkpoint=None: an exact resume depends on this"),
        ({"logger": dict(type=Counting)}, "default_hooks.logger: Counting is no LogHook"),
        ({"nonfinite": dict(type=Counting)}, "default_hooks.nonfinite: Counting is no NonFinite"),
    ],
)
def test_what_an_exact_resume_depends_on_stays(changes, message):
    with pytest.raises(InputError, match=message):
        build_hooks(config(default_hooks=changes), 7)


def test_a_run_honours_them(small_config, tmp_path, capsys):
    """A user's hook sees every step; the backends get what the log says, and none is missing."""
    ran.clear()
    changed = small_config("mae", "epochs=1")
    changed.custom_hooks = [dict(type=Counting)]
    backends = [dict(type="LocalVisBackend"), dict(type="NeptuneVisBackend")]
    changed.visualizer = dict(type="Visualizer", vis_backends=backends)
    train(changed, tmp_path / "run", "test", resume=False, overwrite=False)
    lines = [json.loads(x) for x in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert ran == [f"counting {line['step'] - 1}" for line in lines]
    (file,) = (tmp_path / "run" / "mmengine").glob("vis_data/scalars.json")
    sent = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(s["step"], s["loss"], s["lr"]) for s in sent] == [
        (line["step"], line["loss"], line["lr"]) for line in lines
    ]
    assert "warning: visualizer: NeptuneVisBackend is skipped" in capsys.readouterr().out

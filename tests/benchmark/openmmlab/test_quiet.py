"""What mmengine keeps for the whole process does not leak from one run into the next."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import Hook
from mmengine.logging import MessageHub, MMLogger, print_log
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.utils import ManagerMixin
from mmengine.visualization import Visualizer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from benchmark.method import Progress
from benchmark.openmmlab.quiet import LibraryState, quiet_libraries
from benchmark.training.accumulation import AccumulatingOptimWrapper
from benchmark.training.run import Run
from benchmark.training.runner import Runner
from benchmark.training.schedules import CosinePerEpoch

KINDS = (DefaultScope, MessageHub, MMLogger, Visualizer)
Names = dict[str, list[str]]


def instances() -> Names:
    return {kind.__name__: list(kind._instance_dict) for kind in KINDS}


@pytest.fixture(autouse=True)
def _own_state() -> Iterator[None]:
    """These tests leave nothing either."""
    with LibraryState():
        yield


@pytest.fixture
def notebook() -> Names:
    """A process with other users of mmengine: names are looked up in mmdetection."""
    DefaultScope.get_instance("mine", scope_name="mmdet")
    MessageHub.get_instance("mine").update_info("epoch", 77)
    MMLogger.get_instance("mine", log_level="WARNING")
    Visualizer.get_instance("mine")
    return instances()


class Line(BaseModel):
    """A straight line through the values 0 … 3."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(()))
        self.progress = Progress(seed=0, epoch=0, epochs=1, step=0, steps_per_epoch=2)

    def forward(self, value: list[float], mode: str = "loss") -> dict[str, Tensor] | list[Tensor]:
        values = torch.tensor(value)
        if mode == "loss":
            return {"loss": (self.slope * values - values).square().mean()}
        return [self.slope * one for one in values]


class Largest(BaseMetric):
    def process(self, data_batch: object, data_samples: list[Tensor]) -> None:
        self.results += [float(sample) for sample in data_samples]

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return {"largest": max(results)}


class Seen(Hook):
    """Writes down what is current while the run is on."""

    def __init__(self) -> None:
        self.found: list[tuple[str, object]] = []

    def _look(self, *_: object, **__: object) -> None:
        scope = DefaultScope.get_current_instance().scope_name
        self.found.append((scope, MessageHub.get_current_instance().runtime_info.get("epoch")))

    before_train = before_train_iter = before_test = after_test_iter = _look


def make_line_run(folder: Path, scope: str) -> tuple[Runner, Seen]:
    model, seen = Line(), Seen()
    rows = [{"value": float(value)} for value in range(4)]
    loader = DataLoader(rows, batch_size=2, collate_fn=pseudo_collate)
    sgd = torch.optim.SGD([{"params": list(model.parameters()), "peak_lr": 0.1}], lr=0.1)
    evaluation = (DataLoader(rows, collate_fn=pseudo_collate), Evaluator(Largest()))
    config = Config(
        dict(
            **dict(seed=0, epochs=1, batch_size=2, schedule=dict(type=CosinePerEpoch)),
            **dict(log_interval=1, checkpoint_interval=1, keep_checkpoints=1),
            custom_hooks=[seen],
        )
    )
    run = Run(folder, "line", config, {"seed": 0, "config_hash": "line"})
    optimizer = AccumulatingOptimWrapper(sgd)
    return Runner(run, model, loader, optimizer, evaluation, scope=scope), seen


def test_a_run_leaves_the_process_as_it_was(notebook, tmp_path):
    runner, seen = make_line_run(tmp_path / "run", "mmseg")
    assert instances() == notebook
    runner.train()
    assert runner.test()["largest"] > 0
    assert instances() == notebook
    assert DefaultScope.get_current_instance().scope_name == "mmdet"
    assert MessageHub.get_current_instance().get_info("epoch") == 77
    assert len(seen.found) == 1 + 2 + 1 + 4
    assert set(seen.found) == {("mmseg", None)}, "nor does the run see what was there before it"


def test_runs_that_take_turns_keep_apart(tmp_path):
    """Made before either is trained, in folders of one name: each has its own scope."""
    runs = [make_line_run(tmp_path / s / "seed0", s) for s in ("mmseg", "mmdet", "mmpretrain")]
    hubs = {id(runner.message_hub) for runner, _ in runs}
    assert len(hubs) == 3
    for (runner, seen), scope in zip(runs, ("mmseg", "mmdet", "mmpretrain")):
        runner.train()
        assert {found for found, _ in seen.found} == {scope}


def test_a_run_that_fails_leaves_the_process_as_it_was(notebook, tmp_path):
    runner, seen = make_line_run(tmp_path / "run", "mmseg")
    seen.before_train_iter = lambda *_, **__: 1 / 0
    with pytest.raises(ZeroDivisionError):
        runner.train()
    assert instances() == notebook


def test_quiet_libraries_are_loud_again_afterwards(notebook, capsys):
    logger = MMLogger.get_instance("on screen", log_level="WARNING")
    before = instances()
    level, filters, screen = logger.level, list(warnings.filters), sys.stdout
    with quiet_libraries():
        print("chatter")
        warnings.warn("chatter", stacklevel=1)
        print_log("chatter", "current", 30)
        print_log("a fault", "current", 40)
        DefaultScope.get_instance("theirs", scope_name="mmseg")
        Visualizer.get_instance("theirs")
    assert instances() == before
    assert (logger.level, warnings.filters, sys.stdout) == (level, filters, screen)
    print_log("heard", "current", 30)
    out = capsys.readouterr().out
    assert "chatter" not in out
    assert "a fault" in out
    assert "heard" in out


def test_a_state_can_be_entered_again_and_within_itself():
    state = LibraryState()
    with state:
        DefaultScope.get_instance("inside", scope_name="mmseg")
        with LibraryState():
            assert DefaultScope.get_current_instance() is None
            with state:
                pass
    assert DefaultScope.get_current_instance() is None
    with state:
        assert DefaultScope.get_current_instance().scope_name == "mmseg"


def test_managers_defined_while_it_is_entered_are_covered():
    with LibraryState():

        class Late(Visualizer):
            pass

        Late.get_instance("late")
    assert not Late._instance_dict
    assert issubclass(Late, ManagerMixin)

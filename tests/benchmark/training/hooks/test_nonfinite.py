"""Non-finite steps: skipped everywhere, counted, recorded, and a stop after three in a row."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from child_runs import finish, read_log, signal_at_step, start
from mmengine.config import Config
from mmengine.model import BaseModel, ExponentialMovingAverage
from no_host_sync import NoHostSync
from torch import Tensor, nn

from benchmark.method import Progress
from benchmark.nn.feature_statistics import feature_statistics
from benchmark.randomness import permutation
from benchmark.training import runner
from benchmark.training.accumulation import AccumulatingOptimWrapper, training_step
from benchmark.training.checkpoints.checkpoint import checkpoint_paths, read_checkpoint
from benchmark.training.distributed.signals import EXIT_NOT_FINITE, EXIT_STOPPED, NotFinite
from benchmark.training.hooks.nonfinite import NonFiniteGuard
from benchmark.training.optim import build_optimizer
from benchmark.training.train import train
from methods.mae import MAE

Configs = Callable[..., Config]


class Line(BaseModel):
    """w·x + batch norm of x; a loss that is not finite where x is not."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([2.0, -1.0]))
        self.norm = nn.BatchNorm1d(2, affine=False)
        self.progress = Progress()

    def forward(self, x: Tensor, mode: str) -> dict[str, Tensor]:
        return {"loss": (self.norm(x) * self.weight + x).square().mean()}


def batches() -> list[Tensor]:
    """Fine, with an infinity, fine."""
    generator = torch.Generator().manual_seed(0)
    one, two, three = (torch.randn(4, 2, generator=generator) for _ in range(3))
    two[1, 0] = torch.inf
    return [one, two, three]


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.Adam, torch.optim.SGD])
@pytest.mark.parametrize("parts", [1, 2])
def test_a_step_left_out_has_not_been(kind, parts):
    """Weights, moments, step counters and running statistics, against steps without it."""
    ends = []
    for chosen in (batches(), batches()[::2]):
        model = Line()
        settings = dict(momentum=0.9) if kind is torch.optim.SGD else {}
        optimizer = build_optimizer(model, dict(type=kind, **settings), lr=0.1, parts=parts)
        guard = NonFiniteGuard(model)
        finite = []
        for x in chosen:
            training_step(model, {"x": x}, optimizer)
            guard.settle(optimizer.finite)
            finite.append(bool(optimizer.finite))
        state = optimizer.optimizer.state[model.weight]
        ends.append({**model.state_dict(), **{k: v for k, v in state.items() if v is not None}})
    assert finite == [True, True]
    assert ends[0].keys() == ends[1].keys()
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


def test_the_first_step_may_be_one():
    """The optimiser then has no state, or that of a beginning."""
    for kind in (torch.optim.AdamW, torch.optim.SGD):
        model = Line()
        settings = dict(momentum=0.9) if kind is torch.optim.SGD else {}
        optimizer = build_optimizer(model, dict(type=kind, **settings), lr=0.1)
        training_step(model, {"x": batches()[1]}, optimizer)
        assert torch.equal(model.weight.detach(), torch.tensor([2.0, -1.0]))
        state = optimizer.optimizer.state[model.weight]
        assert all(not value.any() for value in state.values() if isinstance(value, Tensor))


def test_an_infinite_loss_counts_though_its_gradient_is_finite():
    """ln 0 of something that does not depend on the weights."""
    model = Line()
    usual = model.forward
    model.forward = lambda x, mode: {"loss": usual(x, mode)["loss"] - torch.zeros(()).log()}
    optimizer = build_optimizer(model, dict(type=torch.optim.AdamW), lr=0.1)
    terms = training_step(model, {"x": batches()[0]}, optimizer)
    assert terms["loss"] == torch.inf
    assert not optimizer.finite
    assert not terms["grad_norm"].isfinite()
    assert torch.equal(model.weight.detach(), torch.tensor([2.0, -1.0]))


def test_nothing_is_read_back():
    """Neither for the decision, nor for the norm that is clipped, nor to put things back."""
    model = Line()
    optimizer = build_optimizer(
        model, dict(type=torch.optim.AdamW), lr=0.1, clip_grad=dict(max_norm=0.5)
    )
    guard = NonFiniteGuard(model)
    for x in batches():
        with NoHostSync():
            training_step(model, {"x": x}, optimizer)
            guard.settle(optimizer.finite)


@pytest.mark.parametrize(
    ("clip", "by_torch"),
    [
        (dict(max_norm=0.5), lambda p: nn.utils.clip_grad_norm_(p, 0.5)),
        (dict(type="norm", max_norm=9.0), lambda p: nn.utils.clip_grad_norm_(p, 9.0)),
        (dict(max_norm=0.5, norm_type=1), lambda p: nn.utils.clip_grad_norm_(p, 0.5, 1)),
        (dict(type="value", clip_value=0.3), lambda p: nn.utils.clip_grad_value_(p, 0.3)),
    ],
)
def test_clipping_is_that_of_torch(clip, by_torch):
    """SGD at rate 1 moves by the clipped gradient."""
    layers = [nn.Linear(3, 2), nn.Linear(3, 2)]
    layers[1].load_state_dict(layers[0].state_dict())
    gradients = [torch.full((2, 3), 0.7), torch.tensor([-0.2, 0.4])]
    for layer in layers:
        for parameter, gradient in zip(layer.parameters(), gradients):
            parameter.grad = gradient.clone()
    wrapper = AccumulatingOptimWrapper(
        torch.optim.SGD(layers[0].parameters(), lr=1.0), clip_grad=clip
    )
    wrapper.step()
    by_torch(layers[1].parameters())
    torch.optim.SGD(layers[1].parameters(), lr=1.0).step()
    for one, two in zip(layers[0].parameters(), layers[1].parameters()):
        torch.testing.assert_close(one, two)
    assert wrapper.grad_norm.item() == pytest.approx((6 * 0.49 + 0.04 + 0.16) ** 0.5)


class Averaged(nn.Module):
    """Everything a method may keep: frozen weights, averages, statistics, a table it replaces."""

    def __init__(self) -> None:
        super().__init__()
        self.student = nn.Linear(2, 2)
        self.frozen = nn.Linear(2, 2).requires_grad_(False)
        self.average = ExponentialMovingAverage(self.student, momentum=0.5)
        self.norm = nn.BatchNorm1d(2)
        self.register_buffer("table", torch.zeros(3))

    def step(self) -> None:
        with torch.no_grad():
            for parameter in self.student.parameters():
                parameter.add_(1.0)
        self.average.update_parameters(self.student)
        self.norm(torch.randn(4, 2))
        self.table = self.table + 1


def test_what_no_optimiser_changes_goes_back():
    """Also where torch's counters do not see it; the student is the optimiser's affair."""
    model = Averaged()
    guard = NonFiniteGuard(model)
    for finite in (True, False, True):
        before = {name: value.clone() for name, value in model.state_dict().items()}
        model.step()
        now = {name: value.clone() for name, value in model.state_dict().items()}
        guard.settle(torch.tensor(finite))
        for name, value in model.state_dict().items():
            kept = finite or name.startswith(("student", "norm.weight", "norm.bias"))
            assert torch.equal(value, now[name] if kept else before[name]), name
    assert not torch.equal(model.average.module.weight, now["frozen.weight"])
    assert model.table.tolist() == [2.0, 2.0, 2.0]


def test_tables_written_between_epochs_stay():
    """They are accepted before the steps; a skipped step then does not undo them."""
    model = Averaged()
    guard = NonFiniteGuard(model)
    model.table.fill_(7.0)
    guard.accept()
    model.table.add_(torch.nan)
    guard.settle(torch.tensor(False))
    assert model.table.tolist() == [7.0, 7.0, 7.0]


def test_features_that_are_not_finite_have_no_statistics():
    """And are no error: the watch over collapse sees the features of a step before its loss."""
    features = torch.randn(8, 4)
    features[2, 1] = torch.nan
    assert all(value.isnan() for value in feature_statistics(features).values())


def spoil(steps: set[int], value: float = torch.nan) -> Callable[[], None]:
    """Have MAE's loss be `value` in some steps, counted from 1."""
    usual = MAE.loss

    def loss(self: MAE, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        terms = usual(self, views, progress)
        if progress.step + 1 in steps:
            terms["loss_reconstruction"] = terms["loss_reconstruction"] + value
        return terms

    return lambda: setattr(MAE, "loss", loss)


@pytest.fixture
def config(small_config: Configs, monkeypatch: pytest.MonkeyPatch) -> Configs:
    """Nine steps of MAE, a line of the log every four."""
    monkeypatch.setattr(MAE, "loss", MAE.loss)  # put back what a test spoils
    return lambda *options: small_config("mae", "num_threads=1", "log_interval=4", *options)


def state(folder: Path) -> dict[str, Tensor]:
    return read_checkpoint(checkpoint_paths(folder)[0]).model


def test_a_run_ends_as_one_that_left_the_step_out(config, tmp_path, monkeypatch):
    """The other run takes no such step at all, which is not how the engine does it."""
    spoil({2, 6, 7})()
    train(config(), tmp_path / "spoilt", "test", resume=False, overwrite=False)
    monkeypatch.undo()

    def step(model: Any, batch: Any, optimizer: Any) -> dict[str, Tensor]:
        if model.progress.step + 1 in (2, 6, 7):
            optimizer.finite = torch.tensor(False)
            return {"loss": torch.tensor(torch.nan), "grad_norm": torch.tensor(torch.nan)}
        return training_step(model, batch, optimizer)

    monkeypatch.setattr(runner, "training_step", step)
    train(config(), tmp_path / "without", "test", resume=False, overwrite=False)
    one, two = state(tmp_path / "spoilt"), state(tmp_path / "without")
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert read_log(tmp_path / "spoilt") == read_log(tmp_path / "without")
    assert [line["skipped_steps"] for line in read_log(tmp_path / "spoilt")] == [1, 3, 3]
    description = json.loads((tmp_path / "spoilt" / "run.json").read_text())
    assert description["finished"]["skipped_steps"] == 3


def test_what_would_repeat_a_step_is_written_down(config, tmp_path):
    """Its number, epoch and samples; and what its terms were, in strict JSON."""
    spoil({2, 6}, torch.inf)()
    train(config(), tmp_path / "run", "test", resume=False, overwrite=False)
    files = sorted(path.name for path in (tmp_path / "run" / "nonfinite").iterdir())
    assert files == ["step_2.json", "step_6.json"]
    text = (tmp_path / "run" / "nonfinite" / "step_6.json").read_text()
    found = json.loads(text, parse_constant=pytest.fail)
    assert (found["step"], found["epoch"], found["seed"]) == (6, 1, 0)
    assert found["terms"]["loss"] == "inf"
    assert found["terms"]["grad_norm"] == "nan"
    # Three batches of four in an epoch: the last one of the second epoch.
    assert found["indices"] == permutation(0, 1, 14)[8:12].tolist()


def test_three_on_end_stop_the_run(config, tmp_path, capsys):
    """In one line that names the file; the checkpoint from before them stays, and no other."""
    spoil({5, 6, 7})()
    folder = tmp_path / "run"
    with pytest.raises(NotFinite) as end:
        train(config(), folder, "Method", resume=False, overwrite=False)
    line = (
        "error: Method: loss or gradient not finite in 3 steps in a row, see "
        f"{folder}/nonfinite/step_5.json; the last checkpoint is from before them"
    )
    assert capsys.readouterr().err.splitlines() == [line]
    assert end.value.exit_code == EXIT_NOT_FINITE
    assert len(list((folder / "nonfinite").iterdir())) == 3
    newest = read_checkpoint(checkpoint_paths(folder)[0])
    assert newest.epoch == 2  # two in a row so far
    assert newest.log["in_a_row"] == 2
    assert "finished" not in json.loads((folder / "run.json").read_text())
    # The same again: the third is counted together with the two before the checkpoint.
    with pytest.raises(NotFinite):
        train(config(), folder, "Method", resume=True, overwrite=False)


def test_the_count_survives_a_stop(config, tmp_path):
    """Stopped between a skipped step and its log line."""

    def before() -> None:
        spoil({6})()
        signal_at_step(7, 15)()

    folder = tmp_path / "run"
    assert finish(config(), folder, before=before) == EXIT_STOPPED
    assert finish(config(), folder) == 0
    assert [line["skipped_steps"] for line in read_log(folder)] == [0, 1, 1]
    spoil({6})()
    train(config(), tmp_path / "whole", "test", resume=False, overwrite=False)
    assert read_log(tmp_path / "whole") == read_log(folder)


def test_all_processes_leave_out_what_one_of_them_must(config, tmp_path):
    """An infinity on the second; the end is that of one process which meets it."""
    pair = [
        start(config(), tmp_path / "pair", spoil(steps, torch.inf), pair=tmp_path / "at", rank=rank)
        for rank, steps in enumerate((set(), {3}))
    ]
    for process in pair:
        process.join(120)
    assert [process.exitcode for process in pair] == [0, 0]
    spoil({3}, torch.inf)()
    train(config(), tmp_path / "single", "test", resume=False, overwrite=False)
    one, two = state(tmp_path / "pair"), state(tmp_path / "single")
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert read_log(tmp_path / "pair") == read_log(tmp_path / "single")
    assert (tmp_path / "pair" / "nonfinite" / "step_3.json").is_file()

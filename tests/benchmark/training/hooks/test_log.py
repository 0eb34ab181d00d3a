"""The log: exact means, no line that is not JSON, and a state that completes a begun line."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmark.training.hooks import LogHook
from benchmark.training.screen import Screen

sent: list[tuple[int, dict[str, float]]] = []


def runner(folder: Path, iteration: int = 0, checkpoint: Any = None) -> Any:
    config = SimpleNamespace(batch_size=2)
    named = dict(folder=folder, title="Method", config=config, checkpoint=checkpoint)
    run = SimpleNamespace(**named, screen=Screen())
    groups = SimpleNamespace(param_groups=[{"lr": 0.5}, {"lr": 0.25}])
    return SimpleNamespace(
        iter=iteration,
        epoch=iteration // 4,
        max_iters=8,
        max_epochs=2,
        run=run,
        train_dataloader=None,
        visualizer=SimpleNamespace(add_scalars=lambda values, step: sent.append((step, values))),
        optim_wrapper=SimpleNamespace(optimizer=groups),
    )


def take(
    log: LogHook,
    folder: Path,
    steps: range,
    losses: list[float],
    norms: dict[int, float],
    ranks: dict[int, float] | None = None,
) -> None:
    """Steps, counted from 0, with these losses; the norm of a gradient is 1 but for some."""
    for step in steps:
        values = {"loss": losses[step], "grad_norm": norms.get(step, 1.0)}
        if ranks and step in ranks:
            values["effective_rank"] = ranks[step]
        terms = {name: torch.tensor(value) for name, value in values.items()}
        log.after_train_iter(runner(folder, step), 0, None, terms)


def lines(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line, parse_constant=pytest.fail) for line in text]


def test_means_are_of_the_steps_that_were_taken(tmp_path):
    """By hand: 1, 2, (skipped), 6 is 3 in the mean; a term of two steps is divided by two."""
    log = LogHook(interval=4)
    log.before_train(runner(tmp_path))
    losses = [1, 2, torch.inf, 6, 1, 1, torch.nan, 1]
    take(log, tmp_path, range(8), losses, {2: torch.nan}, ranks={1: 10.0, 3: 30.0})
    first, second = lines(tmp_path)
    assert first["effective_rank"] == 20
    assert (first["step"], first["epoch"], first["lr"]) == (4, 0, 0.5)
    assert (first["loss"], first["grad_norm"], first["skipped_steps"]) == (3.0, 1.0, 1)
    # A term that is none at a step that was taken is none in the mean, and that is not hidden.
    assert (second["loss"], second["grad_norm"], second["skipped_steps"]) == (None, 1.0, 1)
    assert list(first)[-1] == "images_per_s"
    # The visualizer of mmengine gets the same, but for what is no number.
    assert [step for step, _ in sent[-2:]] == [4, 8]
    for (_, values), line in zip(sent[-2:], (first, second), strict=True):
        written = {n: v for n, v in line.items() if v is not None and n != "step"}
        assert values == {**written, "images_per_s": values["images_per_s"]}
        assert round(values["images_per_s"], 1) == written["images_per_s"]


def test_a_line_of_skipped_steps_only(tmp_path):
    """Has their number, and no mean."""
    log = LogHook(interval=2)
    log.before_train(runner(tmp_path))
    take(log, tmp_path, range(2), [torch.nan, torch.inf], {0: torch.nan, 1: torch.inf})
    (line,) = lines(tmp_path)
    assert line.keys() == {"step", "epoch", "lr", "skipped_steps", "images_per_s"}
    assert line["skipped_steps"] == 2


def test_a_begun_line_is_completed_after_a_resume(tmp_path):
    """From the state of a checkpoint after the sixth step; what came after it is repeated."""
    losses = [0.1, 0.7, 0.3, 0.4, 0.2, 0.9, 0.6, 0.5]
    whole = LogHook(interval=4)
    (tmp_path / "whole").mkdir()
    whole.before_train(runner(tmp_path / "whole"))
    take(whole, tmp_path / "whole", range(8), losses, {5: torch.nan})

    (tmp_path / "cut").mkdir()
    cut = LogHook(interval=4)
    cut.before_train(runner(tmp_path / "cut"))
    take(cut, tmp_path / "cut", range(6), losses, {5: torch.nan})
    cut.read(runner(tmp_path / "cut", 5))
    state = json.loads(json.dumps(cut.state()))
    take(cut, tmp_path / "cut", range(6, 8), losses, {})
    with (tmp_path / "cut" / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 9, "ep')  # killed while it wrote

    again = LogHook(interval=4)
    again.before_train(runner(tmp_path / "cut", 6, SimpleNamespace(log=state)))
    assert [line["step"] for line in lines(tmp_path / "cut")] == [4]
    take(again, tmp_path / "cut", range(6, 8), losses, {})
    one, two = lines(tmp_path / "whole"), lines(tmp_path / "cut")
    for line in (*one, *two):
        del line["images_per_s"]
    assert one == two
    assert again.skipped.total == 1

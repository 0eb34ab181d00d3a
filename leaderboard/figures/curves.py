"""Curves: label efficiency and scaling from the board, terms of logs from training runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FixedLocator, NullLocator

from benchmark.errors import InputError
from benchmark.files import read_json
from leaderboard.figures.reading import short
from leaderboard.figures.style import MARKERS, SERIES, grid_of_panels, new_figure

_PANEL, _HEIGHT = 72.0, 52.0  # mm
_TICKS = 8


def choose_curves(data: dict[str, Any], wanted: Sequence[str]) -> list[dict[str, Any]]:
    """The curves of these ids, in the order given; all of them without ids.

    Raises:
        InputError: there are no curves, or none of an id.
    """
    known = {curve["id"]: curve for curve in data["curves"]}
    if not known:
        raise InputError("no board has curves; they need runs with shares of labels, or analyses")
    for name in wanted:
        if name not in known:
            raise InputError(f"--curves {name}: there is no such curve; known: {', '.join(known)}")
    return [known[name] for name in wanted or known]


def _plot(axis: Axes, number: int, x: Sequence[float], y: Sequence[float], **more: Any) -> None:
    colour, marker = SERIES[number % len(SERIES)], MARKERS[number % len(MARKERS)]
    axis.plot(x, y, marker=marker, color=colour, **more)


def draw_curves(curves: Sequence[dict[str, Any]], width: float) -> Figure:
    """One panel per curve: means, and the standard deviation over seeds as bars."""
    down, across = grid_of_panels(len(curves), width, _PANEL)
    figure = new_figure(width, down * _HEIGHT)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    numbers: dict[str, int] = {}  # a row looks the same in all panels
    for axis, curve in zip(panels, curves):
        for line in curve["lines"]:
            number = numbers.setdefault(line["row"], len(numbers))
            points = sorted(line["points"], key=lambda point: point["x"])
            x, mean = [p["x"] for p in points], [p["mean"] for p in points]
            _plot(axis, number, x, mean, label=short(line["title"]), gid=f"line:{line['row']}")
            for point in (point for point in points if point["std"] is not None):
                ends = (point["mean"] - point["std"], point["mean"] + point["std"])
                axis.vlines(point["x"], *ends, color=SERIES[number % len(SERIES)], alpha=0.6)
        xs = sorted({point["x"] for line in curve["lines"] for point in line["points"]})
        if curve["log_x"] and xs[0] > 0:
            axis.set_xscale("log")
        if len(xs) <= _TICKS:
            axis.xaxis.set_major_locator(FixedLocator(xs))
            axis.xaxis.set_minor_locator(NullLocator())
        if xs[-1] >= 10_000:
            axis.xaxis.set_major_formatter(EngFormatter(sep=""))
        elif curve["log_x"]:
            axis.xaxis.set_major_formatter("{x:g}")
        axis.set_title(short(curve["title"], 56))
        axis.set_xlabel(curve["x_label"])
        axis.set_ylabel(curve["unit"])
        axis.grid(axis="y")
        axis.margins(x=0.06, y=0.1)
        axis.legend(loc="best")
    for axis in panels[len(curves) :]:
        axis.set_axis_off()
    return figure


def _run_title(run: Path) -> str:
    """The method's title; the folder's name where the run does not say it."""
    try:
        return str(read_json(run / "run.json")["config"]["card"]["title"])
    except (InputError, KeyError, TypeError):
        return run.name


def draw_training(runs: Sequence[Path], term: str, width: float) -> Figure:
    """A term of the logs of pre-training runs over their epochs, one line per run.

    Args:
        runs: run folders.
        term: a name of their logs, ``loss`` for example.

    Raises:
        InputError: a folder has no log, or its log no such term.
    """
    from benchmark.visualization.log_curves import read_curve

    figure = new_figure(width, 0.55 * width + 10)
    axis = figure.add_subplot()
    for number, run in enumerate(runs):
        epochs, values = read_curve(run, term)
        every = max(1, len(epochs) // 10)
        _plot(
            axis,
            number,
            epochs,
            values,
            label=short(_run_title(run)),
            markevery=every,
            gid=f"{run}",
        )
    axis.set_xlabel("Epoch")
    axis.set_ylabel(term.replace("_", " "))
    axis.grid(axis="y")
    axis.legend(loc="best")
    return figure

"""Curves: label efficiency and scaling from the board, logged terms from training runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FixedLocator, MaxNLocator, NullLocator

from benchmark.errors import InputError
from benchmark.files import read_json
from leaderboard.figures.style import MUTED, new_figure, panel_grid, series_look
from leaderboard.figures.text import shorten
from leaderboard.page.palette import series_style

_PANEL, _HEIGHT = 72.0, 52.0  # mm
_TICKS = 8  # up to so many values of x have a tick each


def choose_curves(data: dict[str, Any], wanted: Sequence[str]) -> list[dict[str, Any]]:
    """The curves of these ids, in the order given; all of them without ids.

    Raises:
        InputError: no curves at all, or none with one of the ids.
    """
    known = {curve["id"]: curve for curve in data["curves"]}
    if not known:
        raise InputError("no board has curves; they need runs on shares of the labels, or analyses")
    for name in wanted:
        if name not in known:
            raise InputError(f"--curves {name}: there is no such curve; known: {', '.join(known)}")
    return [known[name] for name in wanted or known]


def draw_curves(curves: Sequence[dict[str, Any]], width: float) -> Figure:
    """One panel per curve: means, and the standard deviation over seeds as bars."""
    down, across = panel_grid(len(curves), width, _PANEL)
    figure = new_figure(width, down * _HEIGHT)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for axis, curve in zip(panels, curves):
        for line in curve["lines"]:
            _draw_line(axis, line, series_look(line["style"]))
        for level in curve.get("levels", ()):
            name = f"{shorten(level['title'])} ({level['mean']:.2f})"
            look = {"color": MUTED, "linewidth": 0.8, "linestyle": (0, (4, 3))}
            axis.axhline(level["mean"], **look, label=name, gid=f"level:{level['title']}")
        _format_x(axis, curve)
        axis.set_title(shorten(curve["title"], 56))
        axis.set_xlabel(curve["x_label"])
        axis.set_ylabel(curve["unit"])
        axis.grid(axis="y")
        axis.margins(x=0.06, y=0.1)
        axis.legend(loc="best")
    for axis in panels[len(curves) :]:
        axis.set_axis_off()
    return figure


def _draw_line(axis: Axes, line: dict[str, Any], style: dict[str, str]) -> None:
    points = sorted(line["points"], key=lambda point: point["x"])
    x, mean = [p["x"] for p in points], [p["mean"] for p in points]
    axis.plot(x, mean, **style, label=shorten(line["title"]), gid=f"line:{line['row']}")
    for point in (point for point in points if point["std"] is not None):
        ends = (point["mean"] - point["std"], point["mean"] + point["std"])
        axis.vlines(point["x"], *ends, color=style["color"], alpha=0.6)


def _format_x(axis: Axes, curve: dict[str, Any]) -> None:
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
    if named := {tick["x"]: tick["label"] for tick in curve.get("ticks", ())}:
        axis.xaxis.set_major_locator(FixedLocator(xs))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_xticks(xs, [named.get(x, f"{x:g}") for x in xs])


def _run_title(run: Path) -> str:
    """Title of the method; the name of the folder where the run does not give one."""
    try:
        return str(read_json(run / "run.json")["config"]["card"]["title"])
    except (InputError, KeyError, TypeError):
        return run.name


def draw_training(runs: Sequence[Path], term: str, width: float) -> Figure:
    """A logged term of pre-training runs over their epochs, one line per run.

    Args:
        runs: run folders.
        term: name in their logs, for example ``loss``.

    Raises:
        InputError: a folder has no log, or the log no such term.
    """
    from benchmark.visualization.log_curves import axis_label, chance_levels, read_curve

    figure = new_figure(width, 0.55 * width + 10)
    axis = figure.add_subplot()
    for number, run in enumerate(runs):
        epochs, values = read_curve(run, term)
        every = max(1, len(epochs) // 10)
        label = shorten(_run_title(run))
        style = series_look(series_style(number))
        axis.plot(epochs, values, **style, label=label, markevery=every, gid=f"{run}")
    for number, level in enumerate(chance_levels(runs, term)):
        label = None if number else "chance"
        axis.axhline(level, linestyle=":", color="0.4", linewidth=1, zorder=0, label=label)
    axis.set_xlabel("Epoch")
    axis.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axis.set_ylabel(axis_label(term))
    axis.grid(axis="y")
    axis.legend(loc="best")
    return figure

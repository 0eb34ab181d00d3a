"""Curves: label efficiency and scaling from the board, logged terms from training runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FixedLocator, MaxNLocator, NullFormatter, NullLocator

from benchmark.errors import InputError
from leaderboard.figures.labels import LineName, label_lines, name_room
from leaderboard.figures.layout import (
    MARGIN,
    NARROW,
    PAGE,
    add_axes,
    add_title,
    chunks,
    fit,
    new_figure,
    paginate,
)
from leaderboard.figures.style import INK, MUTED, panel_grid, series_look
from leaderboard.figures.text import printable, text_width
from leaderboard.page.palette import series_style
from leaderboard.statistics import rounded

_PANEL, _HEIGHT, _GAP = 78.0, 50.0, 4.0  # mm: least width and height of a panel; between panels
_LEFT, _ABOVE, _BELOW = 11.5, 5.5, 9.5  # mm around the axes of a panel
_TICKS = 8  # up to so many values of x have a tick each
#: Maximum number of lines in a panel, whose names are listed below each other.
_LINES = int((PAGE - 2 * MARGIN - _ABOVE - _BELOW) / NARROW)
_DASHED = (0, (4, 3))


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


def draw_curves(curves: Sequence[dict[str, Any]], width: float) -> list[Figure]:
    """One panel per curve: means, and the standard deviation over seeds as bars.

    The name of a line stands beside its end.
    """
    panels = [panel for curve in curves for panel in _panels(curve)]
    _, across = panel_grid(len(panels), width - 2 * MARGIN + _GAP, _PANEL)
    panel = (width - 2 * MARGIN + _GAP) / across - _GAP
    shelves = chunks(panels, across)
    heights = [max(map(_panel_height, shelf)) for shelf in shelves]
    figures = []
    for page in paginate(heights, PAGE - 2 * MARGIN):
        figure = new_figure(width, sum(heights[index] for index in page) + 2 * MARGIN)
        top = MARGIN
        for index in page:
            for number, curve in enumerate(shelves[index]):
                left = MARGIN + number * (panel + _GAP)
                _draw_panel(figure, curve, left, top, panel, heights[index])
            top += heights[index]
        figures.append(figure)
    return figures


def _panels(curve: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The curve, or parts of it with as many lines as a page has room for."""
    most = _LINES - len(curve.get("levels", ()))
    parts = chunks(curve["lines"], most)
    for number, lines in enumerate(parts, 1):
        title = curve["title"] if len(parts) == 1 else f"{curve['title']} ({number}/{len(parts)})"
        yield {**curve, "lines": lines, "title": title, "extent": _extent(curve)}


def _extent(curve: dict[str, Any]) -> tuple[float, float]:
    """Ends of the vertical axis: all means, bars and levels with a margin."""
    points = [point for line in curve["lines"] for point in line["points"]]
    ends = [p["mean"] + sign * (p["std"] or 0) for p in points for sign in (-1, 1)]
    ends += [level["mean"] for level in curve.get("levels", ())]
    low, high = min(ends), max(ends)
    margin = 0.06 * (high - low or abs(high) or 1)
    return low - margin, high + margin


def _panel_height(curve: dict[str, Any]) -> float:
    names = len(curve["lines"]) + len(curve.get("levels", ()))
    return max(_HEIGHT, NARROW * names + _ABOVE + _BELOW)


def _draw_panel(
    figure: Figure, curve: dict[str, Any], left: float, top: float, width: float, height: float
) -> None:
    levels = curve.get("levels", ())
    level_names = [f"{level['title']} ({rounded(level['mean'], 2)})" for level in levels]
    room = name_room([line["title"] for line in curve["lines"]] + level_names, 0.42 * width)
    size = (width - _LEFT - room, height - _ABOVE - _BELOW)
    axis = add_axes(figure, left + _LEFT, top + _ABOVE, *size)
    names = [_draw_line(axis, line, series_look(line["style"])) for line in curve["lines"]]
    _format_x(axis, curve)
    axis.margins(x=0.06)
    axis.set_ylim(curve["extent"])
    for level, name in zip(levels, level_names):
        look = {"color": MUTED, "linewidth": 0.8, "linestyle": _DASHED}
        axis.axhline(level["mean"], **look, label=name, gid=f"level:{level['title']}")
        value = f" ({rounded(level['mean'], 2)})"
        short = fit(level["title"], room - 4 - text_width(value, 6))
        names.append(LineName(short + value, axis.get_xlim()[1], level["mean"], MUTED))
    add_title(axis, curve["title"], width - _LEFT)
    # Centred below the axes, the label may be wider than they are.
    axis.set_xlabel(fit(curve["x_label"], size[0] + 2 * min(_LEFT, room)))
    axis.set_ylabel(printable(curve["unit"]))
    axis.grid(axis="y")
    label_lines(axis, names, size, room)


def _draw_line(axis: Axes, line: dict[str, Any], look: dict[str, Any]) -> LineName:
    points = sorted(line["points"], key=lambda point: point["x"])
    x, mean = [p["x"] for p in points], [p["mean"] for p in points]
    axis.plot(x, mean, **look, gid=f"line:{line['row']}")
    for point in (point for point in points if point["std"] is not None):
        ends = (point["mean"] - point["std"], point["mean"] + point["std"])
        axis.vlines(point["x"], *ends, color=look["color"], alpha=0.6)
    return LineName(line["title"], x[-1], mean[-1], look["color"])


def _format_x(axis: Axes, curve: dict[str, Any]) -> None:
    xs = sorted({point["x"] for line in curve["lines"] for point in line["points"]})
    if curve["log_x"] and xs[0] > 0:
        axis.set_xscale("log")
    if len(xs) <= _TICKS:
        axis.xaxis.set_major_locator(FixedLocator(xs))
        axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_minor_formatter(NullFormatter())
    if xs[-1] >= 10_000:
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    elif curve["log_x"]:
        axis.xaxis.set_major_formatter("{x:g}")
    if named := {tick["x"]: tick["label"] for tick in curve.get("ticks", ())}:
        axis.xaxis.set_major_locator(FixedLocator(xs))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_xticks(xs, [printable(named.get(x, f"{x:g}")) for x in xs])


def draw_training(runs: Sequence[Path], term: str, width: float) -> list[Figure]:
    """A logged term of pre-training runs over their epochs, one line per run.

    Args:
        runs: run folders.
        term: name in their logs, for example ``loss``.

    Raises:
        InputError: a folder has no log, or the log no such term; more runs than a page has room
            for.
    """
    from benchmark.visualization.log_curves import (
        axis_label,
        chance_levels,
        read_curve,
        run_title,
    )

    if len(runs) > _LINES - 2:
        raise InputError(f"{len(runs)} runs: a figure has room for {_LINES - 2}")
    logs = [read_curve(run, term) for run in runs]
    chance = chance_levels(runs, term)
    titles = [run_title(run) for run in runs]
    height = max(0.5 * width, NARROW * (len(runs) + len(chance))) + 2 * MARGIN + _BELOW
    figure = new_figure(width, height)
    label = axis_label(term).split("\n")
    left = _LEFT + 3 * (len(label) - 1)
    room = name_room([*titles, "chance"], 0.36 * width)
    size = (width - 2 * MARGIN - left - room, height - 2 * MARGIN - _BELOW)
    axis = add_axes(figure, MARGIN + left, MARGIN, *size)
    names = []
    for number, (run, title, (epochs, values)) in enumerate(zip(runs, titles, logs)):
        look = series_look(series_style(number))
        every = max(1, len(epochs) // 10)
        axis.plot(epochs, values, **look, label=title, markevery=every, gid=f"{run}")
        names.append(LineName(title, epochs[-1], values[-1], look["color"]))
    end = axis.get_xlim()[1]
    axis.set_xlim(right=end)
    for number, level in enumerate(chance):
        axis.axhline(level, linestyle=":", color=INK, linewidth=1, zorder=0)
        if not number:
            names.append(LineName("chance", end, level, INK))
    axis.set_xlabel("Epoch")
    axis.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axis.set_ylabel("\n".join(fit(words, size[1]) for words in label))
    axis.grid(axis="y")
    label_lines(axis, names, size, room)
    return [figure]

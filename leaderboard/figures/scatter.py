"""Frozen features against fine-tuning, one point per method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from benchmark.errors import InputError
from leaderboard.figures.board_view import shorten
from leaderboard.figures.style import BETTER, INK, MUTED, new_figure
from leaderboard.statistics import p_text

_OFFSET = 3.0  # points between the middle of a point and its label
#: Sides of a point for its label, the preferred ones first.
_SIDES = ((1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1), (0, -1))


def choose_scatter(data: dict[str, Any]) -> dict[str, Any]:
    """The scores of the methods that have both.

    Raises:
        InputError: no method has both on one dataset.
    """
    scatter = (data.get("overview") or {}).get("scatter")
    if scatter is None:
        raise InputError(
            "no method has scores both frozen (<dataset>-linear) and fine-tuned on one dataset"
        )
    return scatter


def draw_scatter(scatter: dict[str, Any], width: float) -> Figure:
    """Means over the datasets that all methods shown have in both ways, with Spearman's ρ."""
    figure = new_figure(width, 0.66 * width + 8)
    axis = figure.add_subplot()
    for point in scatter["points"]:
        x, y = point["frozen"], point["fine_tuned"]
        name = f"method:{point['method']}"
        axis.plot(x, y, marker="o", linestyle="", color=BETTER, gid=name)
    metric, unit = scatter["metric"], f" ({scatter['unit']})" if scatter["unit"] else ""
    axis.set_xlabel(f"{metric}, frozen features, linear{unit}")
    axis.set_ylabel(f"{metric}, fine-tuned{unit}")
    axis.grid()
    axis.margins(0.12)
    test = scatter["correlation"]
    words = ""
    if test["p"] is not None:
        words = f"Spearman's ρ = {test['rho']:.2f}, {p_text(test['p'])}, "
    axis.set_title(f"{words}n = {test['n']} methods", loc="left")
    over = f"mean over {', '.join(scatter['datasets'])}"
    place = {"ha": "right", "va": "bottom", "fontsize": 5.5, "color": MUTED}
    axis.text(0.99, 0.01, shorten(over, 90), transform=axis.transAxes, **place)
    _name_points(figure, axis, scatter["points"])
    return figure


def _name_points(figure: Figure, axis: Axes, points: Sequence[dict[str, Any]]) -> None:
    """Label every point beside it, where it covers the fewest of the other points and labels."""
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    places = axis.transData.transform([(p["frozen"], p["fine_tuned"]) for p in points])
    size = renderer.points_to_pixels(_OFFSET / 2)
    taken = [Bbox([place - size, place + size]) for place in places]
    for point in points:
        look = {"textcoords": "offset points", "fontsize": 5.5, "color": INK}
        where = (point["frozen"], point["fine_tuned"])
        label = axis.annotate(shorten(point["title"], 22), where, (0, 0), **look)
        label.set_in_layout(False)

        def covered(side: tuple[int, int], label: Annotation = label) -> int:
            _put(label, side)
            box = label.get_window_extent(renderer)
            inside = axis.bbox.x0 <= box.x0 and box.x1 <= axis.bbox.x1
            return sum(map(box.overlaps, taken)) + len(taken) * (not inside)

        _put(label, min(_SIDES, key=covered))
        taken.append(label.get_window_extent(renderer))


def _put(label: Annotation, side: tuple[int, int]) -> None:
    """Place a label on a side of its point: -1, 0 or 1 to the right, and up."""
    across, up = side
    label.xyann = (_OFFSET * across, _OFFSET * up)
    label.set(ha=("center", "left", "right")[across], va=("center", "bottom", "top")[up])

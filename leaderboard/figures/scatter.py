"""Frozen features against fine-tuning, one point per method."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from benchmark.errors import InputError
from leaderboard.figures.labels import label_points
from leaderboard.figures.style import BETTER, MUTED, SMALL, new_figure
from leaderboard.figures.text import shorten
from leaderboard.statistics import p_text


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
    place = {"ha": "right", "va": "bottom", "fontsize": SMALL, "color": MUTED}
    axis.text(0.99, 0.01, shorten(over, 90), transform=axis.transAxes, **place)
    points = scatter["points"]
    places = [(point["frozen"], point["fine_tuned"]) for point in points]
    label_points(axis, places, [point["title"] for point in points])
    return figure

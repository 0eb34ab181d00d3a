"""Frozen features against fine-tuning, one point per method."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from benchmark.errors import InputError
from leaderboard.figures.points import PointPlot, draw_points
from leaderboard.figures.style import MUTED
from leaderboard.statistics import p_text

_BAR = {"color": MUTED, "linewidth": 0.6, "zorder": 1, "gid": "bar"}


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


def draw_scatter(scatter: dict[str, Any], width: float) -> list[Figure]:
    """Means over the datasets that all methods shown have in both ways, with Spearman's ρ.

    Bars: standard deviation over seeds.
    """
    metric, unit = scatter["metric"], f" ({scatter['unit']})" if scatter["unit"] else ""
    test, points = scatter["correlation"], scatter["points"]
    words = ""
    if test["p"] is not None:
        words = f"Spearman's ρ = {test['rho']:.2f}, {p_text(test['p'])}, "

    bars = []
    for point in points:
        x, y = point["frozen"], point["fine_tuned"]
        wide, high = point.get("frozen_std") or 0.0, point.get("fine_tuned_std") or 0.0
        bars += [((x - wide, y), (x + wide, y)), ((x, y - high), (x, y + high))]
    plot = PointPlot(
        points=[(point["frozen"], point["fine_tuned"]) for point in points],
        titles=[point["title"] for point in points],
        ids=[f"method:{point['method']}" for point in points],
        x_label=f"{metric}, frozen features, linear{unit}",
        y_label=f"{metric}, fine-tuned{unit}",
        heading=f"{words}n = {test['n']} methods",
        note=f"mean over {', '.join(scatter['datasets'])}",
        lines=bars,
        line_look=_BAR,
    )
    return draw_points(plot, width)

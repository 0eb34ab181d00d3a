"""Figures of the evaluations, from boards as `board_data` makes them."""

from __future__ import annotations

import copy
import itertools

import pytest
from figure_faults import drawn
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from benchmark.errors import InputError
from leaderboard.data import board_data
from leaderboard.figures import Choice


@pytest.fixture(scope="module")
def evaluated(build, make_evaluations):
    return board_data(build(make_evaluations()))


def test_every_method_is_a_point(evaluated):
    figure = drawn("frozen", evaluated)
    (axis,) = figure.axes
    points = {
        line.get_gid().removeprefix("method:"): (line.get_xdata()[0], line.get_ydata()[0])
        for line in axis.lines
        if line.get_gid() != "bar"
    }
    scatter = evaluated["overview"]["scatter"]
    assert points == {p["method"]: (p["frozen"], p["fine_tuned"]) for p in scatter["points"]}
    assert axis.get_title(loc="left") == "Spearman's ρ = 0.50, p = 1.0, n = 3 methods"
    assert axis.get_xlabel() == "DSC, frozen features, linear (%)"
    assert "mean over XCAV, DCA1" in {text.get_text() for text in figure.texts}


def test_names_of_close_points_do_not_cover_each_other(evaluated):
    overview = copy.deepcopy(evaluated["overview"])
    points = [
        {"method": f"m{n}", "title": f"Method {n}", "frozen": 60 + n % 2, "fine_tuned": 70 + n / 20}
        for n in range(6)
    ]
    overview["scatter"]["points"] = [*points, {**points[0], "method": "far", "fine_tuned": 75.0}]
    figure = drawn("frozen", {**evaluated, "overview": overview})
    (axis,) = figure.axes
    boxes = [text.get_window_extent() for text in axis.texts]
    names = [text.get_text() for text in axis.texts]
    assert {f"Method {n}" for n in range(6)} <= set(names)
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


@pytest.mark.parametrize("width", [88, 180])
def test_names_do_not_lie_over_the_bars(evaluated, width):
    overview = copy.deepcopy(evaluated["overview"])
    overview["scatter"]["points"] = [
        {"method": f"m{n}", "title": f"Method {n}", "frozen": 60.0 + n, "fine_tuned": 70.0 + n}
        | {"frozen_std": 0.5 + n / 5, "fine_tuned_std": 0.3}
        for n in range(6)
    ]
    (axis,) = drawn("frozen", {**evaluated, "overview": overview}, Choice(width=width)).axes
    bars = [Bbox(line.get_xydata()) for line in axis.lines if line.get_gid() == "bar"]
    assert len(bars) == 12
    assert bars[2].intervalx == pytest.approx((60.3, 61.7))
    shown = [axis.transData.transform_bbox(bar).padded(0.5) for bar in bars]
    names = [Text.get_window_extent(text) for text in axis.texts]
    assert not any(name.overlaps(bar) for name in names for bar in shown)


def test_without_both_scores_there_is_no_scatter(data):
    with pytest.raises(InputError, match=r"no method has scores both frozen .* and fine-tuned"):
        drawn("frozen", data)


def test_all_labels_are_the_last_tick_and_the_mark_is_a_line(evaluated):
    (axis,) = drawn("curves", evaluated, Choice(curves=("few-labels-dca1:dsc",))).axes
    assert axis.get_xscale() == "log"
    assert list(axis.get_xticks()) == [1, 5, 20]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["1", "5", "all"]
    (level,) = (line for line in axis.lines if (line.get_gid() or "").startswith("level:"))
    assert list(level.get_ydata()) == pytest.approx([75.1, 75.1])
    assert level.get_label() == "TransUNet, all labels (75.10)"


def test_severities_of_a_corruption(evaluated):
    name = "corruptions:dca1-corruptions/jpeg"
    (axis,) = drawn("curves", evaluated, Choice(curves=(name,))).axes
    line = next(line for line in axis.lines if line.get_gid() == "line:mae")
    assert list(line.get_xdata()) == [0, 1, 2, 3, 4, 5]
    assert axis.get_xlabel() == "Severity (0: uncorrupted)"

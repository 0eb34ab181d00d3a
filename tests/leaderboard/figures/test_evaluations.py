"""Figures of the evaluations, from boards as `board_data` makes them."""

from __future__ import annotations

import copy
import itertools

import pytest
from figure_faults import drawn

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

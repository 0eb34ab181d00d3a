"""Scores against costs for print: the points, the front and the names of `board_data`."""

from __future__ import annotations

import copy
import itertools

import pytest
from matplotlib.text import Text

from benchmark.errors import InputError
from benchmark.method_costs import read_costs
from leaderboard.build import published_leaderboard
from leaderboard.costs import pareto_front
from leaderboard.data import board_data
from leaderboard.figures import Choice, draw
from leaderboard.published import read_tables


@pytest.fixture(scope="module")
def published():
    return board_data(published_leaderboard(read_tables(), costs=read_costs()))


def points(axis) -> dict[str, dict[str, tuple[float, float]]]:
    found = {"front": {}, "row": {}}
    for line in axis.lines:
        kind, _, name = (line.get_gid() or "").partition(":")
        if name:
            found[kind][name] = (line.get_xdata()[0], line.get_ydata()[0])
    return found


def test_points_and_front_are_those_of_the_file(published):
    choice = Choice(cost="network_m", columns=("caxf/dsc",))
    axis = draw("costs", published, choice)[0].axes[0]
    board = published["boards"][0]
    index = [column["id"] for column in board["columns"]].index("caxf/dsc")
    (costs,) = (one["values"] for one in board["cost_axes"] if one["id"] == "network_m")
    expected = {
        row["id"]: (costs[row["id"]], row["cells"][index]["mean"])
        for row in board["rows"]
        if row["id"] in costs and row["cells"][index]
    }
    found = points(axis)
    assert found["front"] | found["row"] == expected
    on = dict(zip(expected, pareto_front(list(expected.values()))))
    assert {name for name, one in on.items() if one} == found["front"].keys()
    assert axis.get_xlabel() == "Parameters (M), lower is better"
    assert axis.get_ylabel() == "CAXF DSC (%)"
    assert axis.get_xscale() == "linear"
    steps = [list(zip(*line.get_data())) for line in axis.lines if line.get_gid() == "step"]
    assert set(found["front"].values()) <= {corner for step in steps for corner in step}
    for (x, y), (next_x, next_y) in steps:
        assert x == next_x or y == next_y, "steps, not slopes"


def test_a_score_with_known_leakage_is_marked(published):
    data = copy.deepcopy(published)
    board = data["boards"][0]
    index = [column["id"] for column in board["columns"]].index("caxf/dsc")
    row = next(row for row in board["rows"] if row["id"] in board["cost_axes"][0]["values"])
    choice = Choice(columns=("caxf/dsc",))
    assert "‡" not in words_of(draw("costs", data, choice))
    row["cells"][index]["leakage"] = "3 identical"
    words = words_of(draw("costs", data, choice))
    assert f"{row['title']}‡" in words
    assert "‡ known leakage" in words
    # The average rank counts that score, too.
    assert f"{row['title']}‡" in words_of(draw("costs", data, Choice(cost="network_m")))


def words_of(figures) -> str:
    return " ".join(text.get_text() for figure in figures for text in figure.findobj(Text))


def test_costs_over_more_than_a_decade_are_logarithmic_and_ranks_point_down(published):
    (figure,) = draw("costs", published, Choice(cost="step_gflops"))
    (axis,) = figure.axes
    assert axis.get_xscale() == "log"
    ticks = [label.get_text() for label in axis.get_xticklabels()]
    assert ticks == ["10", "20", "50", "100", "200"]
    low, high = axis.get_ylim()
    assert low > high, "rank 1 is at the top"
    assert axis.get_ylabel() == "Average rank, better is up"
    assert axis.get_title(loc="left") == "15 of 24 rows have both numbers"


@pytest.mark.parametrize("width", [88.0, 180.0])
def test_names_cover_each_other_nowhere(published, width):
    choice = Choice(cost="step_gflops", columns=("xcav/dsc",), width=width)
    (figure,) = draw("costs", published, choice)
    (axis,) = figure.axes
    names = [text for text in axis.texts if text.get_gid() == "name"]
    assert len(names) == 15
    boxes = [text.get_window_extent() for text in names]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_what_cannot_be_drawn_is_one_line(published, data):
    with pytest.raises(InputError, match="unknown --cost 'gflop'; did you mean 'step_gflops'"):
        draw("costs", published, Choice(cost="gflop"))
    with pytest.raises(InputError, match="no board has costs that differ"):
        draw("costs", data)

"""Every mark of a figure lies where its number is."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from figure_faults import drawn
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from benchmark.errors import InputError
from leaderboard.build import published_leaderboard
from leaderboard.data import board_data
from leaderboard.figures import KINDS, Choice, draw_training
from leaderboard.figures.dot_plot import MARKS
from leaderboard.figures.significance import EQUAL, SHADES
from leaderboard.published import read_tables

OWN = Choice(board="segmentation")
ORDER = ["best", "base", "other", "hole"]  # by average rank, then what has none


def lines(axis: Axes, kind: str) -> dict[str, Any]:
    """The lines whose id starts with a word, by the rest of it."""
    named = [line for line in axis.lines if (line.get_gid() or "").startswith(f"{kind}:")]
    return {line.get_gid().removeprefix(f"{kind}:"): line for line in named}


def segments(axis: Axes) -> list[tuple[float, float, float]]:
    """Horizontal bars: from, to, height."""
    found = []
    for collection in axis.collections:
        for (x0, y0), (x1, y1) in collection.get_segments():
            if y0 == y1:
                found.append((float(x0), float(x1), float(y0)))
    return found


def words_of(figure: Figure) -> str:
    """All texts of its legends."""
    legends = figure.legends
    return " ".join(text.get_text() for legend in legends for text in legend.findobj(Text))


def row_labels(axis: Axes) -> list[str]:
    return [tick.get_text() for tick in axis.get_yticklabels()]


def test_ranks_and_their_intervals(data, ranks):
    (axis,) = drawn("ranks", data).axes
    for name, line in lines(axis, "rank").items():
        assert line.get_xdata()[0] == ranks[name][0]
        assert line.get_ydata()[0] == ORDER.index(name)
    assert set(lines(axis, "rank")) == set(ranks)
    assert segments(axis) == [(1.0, 1.5, 0.0), (1.5, 3.0, 1.0)]  # the third has no interval
    assert row_labels(axis) == ["$x_1$ & <b>", "Base", "Other"]
    weights = [tick.get_fontweight() for tick in axis.get_yticklabels()]
    assert weights == ["normal", "bold", "normal"]
    assert axis.get_ylim()[0] > axis.get_ylim()[1]  # the best is at the top


def test_ranks_of_marked_scores_are_marked(data, ranks):
    first = data["boards"][1]["rows"][0]
    first["cells"][0] |= {"leakage": "3 identical", "skipped_steps": 2}
    figure = drawn("ranks", data)
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert [text for text in shown if set(text) & set("‡§")] == [f"{ranks[first['id']][0]:.2f}‡§"]
    assert "‡ known leakage" in words_of(figure)


def test_critical_difference_is_drawn_to_scale(data):
    """In units of the axis of ranks, on which the methods are; bars join the groups."""
    (axis,) = drawn("critical-difference", data).axes
    (gap,) = [c for c in axis.collections if c.get_gid() == "critical-difference"]
    ((start, _), (end, _)) = gap.get_segments()[0]
    assert end - start == pytest.approx(1.25)
    for name, line in lines(axis, "stem").items():
        assert line.get_xdata()[0] == {"best": 1.0, "base": 2.0, "other": 3.0}[name]
    bars = [c.get_segments()[0] for c in axis.collections if c.get_gid() == "group"]
    assert [(a[0], b[0]) for a, b in bars] == [(1.0, 2.0), (2.0, 3.0)]
    assert bars[0][0][1] != bars[1][0][1]  # they would touch on one level
    words = " ".join(text.get_text() for text in axis.texts)
    assert "Friedman χ² = 5.50, p = 0.012, 3 rows, 3 datasets" in words
    assert "no difference found" not in words


def test_a_diagram_without_a_difference_says_so(data):
    data["boards"][1]["friedman"] |= {"p": 0.4, "critical_difference": 7.0}
    (axis,) = drawn("critical-difference", data).axes
    assert any("no difference found" in text.get_text() for text in axis.texts)
    (gap,) = [c for c in axis.collections if c.get_gid() == "critical-difference"]
    ((start, _), (end, _)) = gap.get_segments()[0]
    # Longer than the ranks there are: the axis grows, the bar is not cut.
    assert end - start == pytest.approx(7.0)
    assert axis.get_xlim()[1] > 8


@pytest.mark.parametrize("width", [88.0, pytest.param(180.0, marks=pytest.mark.slow)])
def test_no_name_leaves_the_diagram(data, width):
    for row in data["boards"][1]["rows"]:
        row["title"] = f"{row['id']} WITH A NAME THAT IS TOO WIDE FOR ANY COLUMN OF A JOURNAL"
    figure = drawn("critical-difference", data, Choice(width=width))
    renderer = figure.canvas.get_renderer()
    for text in figure.axes[0].texts:
        box = text.get_window_extent(renderer)
        assert box.x0 >= -1
        assert box.x1 <= figure.bbox.width + 1


def test_a_column_of_a_journal_has_room_for_the_names_of_methods(data):
    names = ["Deblurring MIM", "Models Genesis"]
    for row, name in zip(data["boards"][1]["rows"], names):
        row["title"] = name
    (axis,) = drawn("critical-difference", data, Choice(width=88.0)).axes
    assert set(names) <= {text.get_text() for text in axis.texts}


def test_dots_are_means_and_bars_are_intervals(data, means):
    panels = [axis for axis in drawn("datasets", data, OWN).axes if axis.axison]
    assert [axis.get_title(loc="left") for axis in panels] == ["A DSC", "B DSC", "C LPIPS"]
    assert "lower is better" in panels[2].get_xlabel()
    assert all(len(axis.get_xticks()) > 1 for axis in panels)
    for index, axis in enumerate(panels):
        dots = {key.partition(":")[0]: line for key, line in lines(axis, "dot").items()}
        bars = {height: (start, end) for start, end, height in segments(axis)}
        for place, row in enumerate(ORDER):
            entry = means[row][index]
            if entry is None:
                assert row not in dots
                continue
            mean, half = entry
            assert (dots[row].get_xdata()[0], dots[row].get_ydata()[0]) == (mean, place)
            # Without an interval, the standard deviation of 1.
            assert bars[place] == (
                (mean - 1, mean + 1) if half is None else (mean - half, mean + half)
            )
    assert row_labels(panels[0]) == ["$x_1$ & <b>", "Base", "Other", "Hole"]


def test_marks_of_dots_are_verdicts(data):
    axis = drawn("datasets", data, OWN).axes[0]
    expected = {"best": "better", "base": "reference", "other": "worse", "hole": "untested"}
    for key, line in lines(axis, "dot").items():
        marker, colour, filled, _ = MARKS[expected[key.partition(":")[0]]]
        assert line.get_marker() == marker
        assert to_hex(line.get_color()) == colour
        assert (to_hex(line.get_markerfacecolor()) == "#ffffff") == (not filled)


def test_warnings_stand_beside_their_dots_and_in_the_key(data):
    assert "‡" not in words_of(drawn("datasets", data, OWN))
    (best,) = (row for row in data["boards"][1]["rows"] if row["id"] == "best")
    best["cells"][1] |= {"leakage": "3 identical", "skipped_steps": 2}
    figure = drawn("datasets", data, OWN)
    marks = [[text.get_text() for text in axis.texts] for axis in figure.axes]
    assert marks == [[], ["‡§"], []]
    (mark,) = figure.axes[1].texts
    assert mark.xy == (70.0, 0)
    assert "‡ known leakage between pre-training and test frames; § " in words_of(figure)


def cells(axis: Axes) -> dict[tuple[float, float], tuple[str, str]]:
    """(x, y) of the middle of a cell → its colour and its text."""
    texts = {text.get_position(): text.get_text() for text in axis.texts}
    found = {}
    for patch in axis.patches:
        if isinstance(patch, Rectangle):
            place = (round(patch.get_x() + 0.5, 3), round(patch.get_y() + 0.5, 3))
            colour = to_hex(patch.get_facecolor())
            found[place] = (colour, next(t for p, t in texts.items() if np.allclose(p, place)))
    return found


def test_heat_map_has_the_classes_of_p_and_the_differences(data):
    """Rows by rank without the reference; the test over all columns stands apart."""
    (axis,) = drawn("significance", data).axes
    assert row_labels(axis) == ["$x_1$ & <b>", "Other", "Hole"]
    found = cells(axis)
    assert found == {
        (0, 0): (SHADES["better"][0], "+1.50"),
        (0, 1): (SHADES["worse"][2], "−1.00"),
        (1, 1): (EQUAL, "+1.50"),
        (0, 2): ("#ffffff", "·"),
        (3.3, 0): (SHADES["better"][1], "+1.50"),
        (3.3, 1): (EQUAL, "+1.50"),
    }


def test_p_of_the_heat_map_is_the_one_of_the_verdicts(data):
    data["correction"] = "none"
    data["boards"][1]["comparisons"]["base"][0]["p"] = 0.02
    assert cells(drawn("significance", data).axes[0])[0, 0][0] == SHADES["better"][2]


def test_another_reference_has_its_own_tests(data):
    (axis,) = drawn("significance", data, Choice(reference="m_best")).axes
    assert row_labels(axis) == ["Base"]
    assert cells(axis)[0, 0][0] == SHADES["worse"][0]


def test_wide_cells_show_interval_and_p(data):
    data["boards"][1]["comparisons"] = {}
    (axis,) = drawn("significance", data).axes
    assert cells(axis)[0, 0][1] == "+1.50  [+0.50, +2.50]  p = 0.0080"


def test_pairs_are_row_against_column(data):
    (axis,) = drawn("pairs", data, Choice(width=100)).axes
    names = [tick.get_text() for tick in axis.get_xticklabels()]
    assert names == row_labels(axis) == ["$x_1$ & <b>", "Base", "Other"]
    found = cells(axis)
    assert found.keys() == {(1, 0), (1, 2), (0, 1)}  # (reference, row)
    assert found[1, 0][0] == SHADES["better"][1]
    assert found[0, 1][0] == SHADES["worse"][1]


def test_curves_are_means_by_x_with_their_deviation(data):
    (axis,) = drawn("curves", data).axes
    line = lines(axis, "line")["best"]
    assert list(line.get_xdata()) == [1, 10, 100]
    assert list(line.get_ydata()) == [60, 70, 80]
    ends = sorted(
        (float(x0), float(y0), float(y1))
        for collection in axis.collections[:2]
        for (x0, y0), (_, y1) in collection.get_segments()
    )
    assert ends == [(10.0, 68.0, 72.0), (100.0, 79.5, 80.5)]
    assert axis.get_xscale() == "log"
    assert axis.get_xlabel() == "Share of the labels (%)"


def test_training_shows_the_mean_of_each_epoch(tmp_path):
    log = [{"epoch": e, "step": s, "loss": 4.0 - e - 0.5 * s} for e in range(3) for s in range(2)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, log)) + "\n")
    (tmp_path / "run.json").write_text(json.dumps({"config": {"card": {"title": "MAE"}}}))
    (axis,) = draw_training([tmp_path], "loss", 88)[0].axes
    (line,) = axis.lines
    assert list(line.get_xdata()) == [1, 2, 3]
    assert list(line.get_ydata()) == [3.75, 2.75, 1.75]
    assert [text.get_text() for text in axis.texts] == ["MAE"]
    with pytest.raises(InputError, match="has no entropy"):
        draw_training([tmp_path], "entropy", 88)


def test_training_names_what_is_probed_and_ticks_are_epochs(tmp_path):
    lines = [{"epoch": e, "probe_ap": 40.0 + e, "probe_chance": 30.0} for e in range(3)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (axis,) = draw_training([tmp_path], "probe_ap", 88)[0].axes
    assert axis.get_ylabel().startswith("average precision (%)")
    assert all(tick == round(tick) for tick in axis.get_xticks())


def test_rows_and_columns_can_be_chosen(data):
    choice = Choice(board="segmentation", rows=["m_other", "best"], columns=["b/dsc"])
    (axis,) = [axis for axis in drawn("datasets", data, choice).axes if axis.axison]
    assert axis.get_title(loc="left") == "B DSC"
    assert row_labels(axis) == ["$x_1$ & <b>", "Other"]


@pytest.mark.parametrize(
    ("kind", "choice", "words"),
    [
        ("ranks", Choice(board="x"), "--board x: there is no such board; known: detection"),
        (
            "critical-difference",
            Choice(board="detection"),
            "board detection has no ranks of Friedman's test; boards that do: segmentation",
        ),
        ("ranks", Choice(rows=["x"]), "segmentation: no row 'x'; known: other, base"),
        ("datasets", Choice(columns=["x"]), "no column 'x'; known: a/dsc"),
        ("significance", Choice(reference="other"), "nothing was tested against 'other'"),
        ("curves", Choice(curves=["x"]), "--curves x: there is no such curve; known: labels:a"),
    ],
)
def test_missing_items_are_an_error_of_one_line(data, kind, choice, words):
    with pytest.raises(InputError, match=re.escape(words)) as error:
        drawn(kind, data, choice)
    assert "\n" not in str(error.value)


def test_empty_sections_are_an_error(data):
    data["curves"] = []
    with pytest.raises(InputError, match="no board has curves"):
        drawn("curves", data)
    data["boards"] = data["boards"][:1]
    with pytest.raises(InputError, match="no board has tests over datasets"):
        drawn("pairs", data)


def test_boards_of_the_papers_can_be_drawn():
    """What `board_data` makes today is what the figures read."""
    data = json.loads(json.dumps(board_data(published_leaderboard(read_tables()))))
    board = data["boards"][0]
    for kind in KINDS.keys() - {"training", "frozen"}:
        figure = drawn(kind, data)
        assert figure.axes
    (axis,) = drawn("ranks", data).axes
    assert axis.get_xlabel().startswith("Average rank (23 of 24 rows)")
    ranked = {row["id"]: row["average_rank"]["mean"] for row in board["rows"] if row["complete"]}
    assert {n: line.get_xdata()[0] for n, line in lines(axis, "rank").items()} == ranked
    assert len(ranked) > 20

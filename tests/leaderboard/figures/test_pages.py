"""Every figure is legible in print: nothing too small, too high, cut off, covered or repeated."""

from __future__ import annotations

import itertools
import re
import warnings

import pytest
from figure_faults import drawn, faults, texts
from matplotlib.figure import Figure

from leaderboard.build import published_leaderboard
from leaderboard.data import board_data
from leaderboard.figures import KINDS, Choice, draw, draw_training
from leaderboard.figures.labels import spread
from leaderboard.figures.layout import NARROW, fit_names, fit_rows, paginate, wrap
from leaderboard.figures.points import PointPlot, draw_points
from leaderboard.figures.style import house_style, save
from leaderboard.figures.text import printable, text_width
from leaderboard.published import read_tables

WIDTHS = (88.0, 180.0)  # mm: one and two columns of most journals
DRAWN = [kind for kind in KINDS if kind != "training"]
LONG = [f"Masked image modelling variant {n} with a long descriptive name" for n in range(60)]
#: No glyph in DejaVu Sans, a formula, control characters, right to left, combining, too long.
HOSTILE = [
    "模型 Ж",
    "모델 α",
    "🦴 ⚡",
    "$x_1$ & <b>",
    "\x1b[31mA\u202e",
    "עברית",
    "Ｆｕｌｌ",
    "x" * 200,
]


def check(figures: list[Figure], width: float) -> None:
    assert [fault for figure in figures for fault in faults(figure, width)] == []


@pytest.fixture(autouse=True)
def _no_warnings():
    """Such as that of a missing glyph."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Of files that other tests left open, which surface whenever memory is collected.
        warnings.simplefilter("ignore", ResourceWarning)
        yield


@pytest.mark.parametrize("width", [88.0, pytest.param(180.0, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "titles", [["MAE", "VasoMIM"], pytest.param(LONG[:30], marks=pytest.mark.slow), HOSTILE]
)
@pytest.mark.parametrize("kind", DRAWN)
def test_boards_of_two_thirty_and_hostile_names(many, kind, titles, width):
    check(draw(kind, many(titles), Choice(width=width)), width)


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", DRAWN)
def test_boards_of_sixty_and_two_hundred_names(many, kind, width):
    check(draw(kind, many(LONG, families=12), Choice(width=width)), width)
    if kind not in ("pairs", "frozen"):
        check(draw(kind, many([f"Method {n}" for n in range(200)]), Choice(width=width)), width)


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_all_boards_of_the_papers(width):
    data = board_data(published_leaderboard(read_tables()))
    check(draw("curves", data, Choice(width=width)), width)
    has = {"critical-difference": "friedman", "significance": "overall", "pairs": "overall"}
    for board in data["boards"]:
        choice = Choice(board=board["id"], width=width)
        for kind in ("ranks", "datasets", *has):
            ranked = any(row["average_rank"] for row in board["rows"])
            if board[has[kind]] if kind in has else kind == "datasets" or ranked:
                check(draw(kind, data, choice), width)


@pytest.mark.parametrize("width", WIDTHS)
def test_runs_have_their_names_beside_their_lines(tmp_path, width):
    runs = [tmp_path / f"run {number} with a long name" for number in range(16)]
    for number, run in enumerate(runs):
        run.mkdir()
        lines = [f'{{"epoch": {e}, "step": {e}, "loss": {9 - e + number / 9}}}\n' for e in range(3)]
        (run / "metrics.jsonl").write_text("".join(lines))
    figures = draw_training(runs, "loss", width)
    check(figures, width)
    assert len({text.get_text() for text in figures[0].axes[0].texts}) == 16


def test_rows_beyond_a_page_go_on_on_the_next_one(many):
    """No row is lost or drawn twice, and the axes of all parts are equal."""
    figures = draw("ranks", many([f"Method {n}" for n in range(200)]), Choice(width=88.0))
    assert len(figures) == 3
    (axes,) = zip(*(figure.axes for figure in figures))
    ids = [line.get_gid() for axis in axes for line in axis.lines]
    assert ids == [f"rank:m{number}" for number in range(200)]
    assert len({axis.get_xlim() for axis in axes}) == 1
    parts = draw("datasets", many([f"Method {n}" for n in range(200)]), Choice(width=180.0))
    ids = [line.get_gid() for part in parts for axis in part.axes for line in axis.lines]
    dots = [name for name in ids if name and name.startswith("dot:")]
    assert len(dots) == len(set(dots)) == 600


def test_pairs_that_are_too_many_for_a_page_are_all_there(many):
    figures = draw("pairs", many([f"Method {n}" for n in range(50)]), Choice(width=88.0))
    assert len(figures) > 1
    cells = sum(len(axis.patches) for figure in figures for axis in figure.axes)
    assert cells == 50 * 49


def test_narrow_cells_have_a_sign_in_place_of_a_number(many):
    (axis,) = drawn("pairs", many(LONG[:30]), Choice(width=180.0)).axes
    assert {text.get_text() for text in axis.texts} == {"▲", "▼", "·"}


def test_points_without_room_for_names_are_numbered(many):
    figure = drawn("frozen", many(LONG[:30]), Choice(width=88.0))
    (axis,) = figure.axes
    names = [text.get_text() for text in axis.texts if text.get_gid() == "name"]
    assert sorted(names, key=int) == [str(number) for number in range(1, 31)]
    listed = [text.get_text() for text in figure.texts]
    assert sum(bool(re.match(r"\d+ Masked", text)) for text in listed) == 30


@pytest.mark.slow
def test_numbers_without_room_are_left_out_and_counted():
    """Of 60 points in one place, around which there are 56."""
    titles = [f"Method {number}" for number in range(60)]
    plot = PointPlot([(0.0, 0.0)] * 60, titles, titles, "x", "y", "60 rows")
    axis = draw_points(plot, 88.0)[0].axes[0]
    shown = [text for text in axis.texts if text.get_gid() == "name"]
    assert 0 < len(shown) <= 56
    assert f"60 rows; no room for {60 - len(shown)} numbers" in axis.get_title(loc="left")
    # The leaders must not change the limits for which the numbers were placed.
    axis.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in shown]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_names_without_a_glyph_are_spelled_and_stay_different():
    assert printable("模型") == r"\u6a21\u578b"
    assert printable("🦴") == r"\U0001f9b4"
    assert printable("Ｆｕｌｌ αЖé ∞") == "Full αЖé ∞"


def test_names_that_begin_alike_are_cut_at_the_beginning():
    cut = fit_names(LONG[:12], 25.0)
    assert len(set(cut)) == 12
    assert cut[7].startswith("…7 with")
    assert all(text_width(name, 6) <= 25 for name in cut)
    assert fit_names(["MAE", "HPM"], 25.0) == ["MAE", "HPM"]
    assert fit_names(["same name of two rows"] * 2, 9.0)[0].endswith("…")


def test_text_is_measured_as_it_is_drawn(data):
    (axis,) = drawn("ranks", data).axes
    figure = axis.get_figure()
    figure.set_dpi(600)
    shown = {text.get_text(): box.width / figure.dpi * 25.4 for text, box in texts(figure)}
    assert shown["Other"] == pytest.approx(text_width("Other", 6), rel=0.02)


def test_equal_boards_give_equal_files(many, tmp_path):
    """All parts, drawn twice from data of its own."""
    for number in range(2):
        for kind in ("datasets", "pairs", "frozen", "curves"):
            for page, figure in enumerate(draw(kind, many(HOSTILE), Choice(width=88.0))):
                save(figure, tmp_path / f"{kind}-{page}.{number}.png", dpi=60)
    firsts = sorted(tmp_path.glob("*.0.png"))
    assert len(firsts) >= 4
    for first in firsts:
        assert first.read_bytes() == first.with_suffix("").with_suffix(".1.png").read_bytes()


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        ([1.0, 9.0], [1.0, 9.0]),
        ([5.0, 5.0, 5.0], [5.0, 6.0, 7.0]),
        ([9.8, 9.9, 2.0], [9.0, 10.0, 2.0]),
        ([-3.0, -2.0], [0.0, 1.0]),
    ],
)
def test_names_of_lines_are_spread(wanted, places):
    assert spread(wanted, 1.0, 0.0, 10.0) == pytest.approx(places)


def test_rows_are_narrower_only_to_save_a_page():
    assert fit_rows(10, 200, 10) == (3.7, 10)
    pitch, rows = fit_rows(60, 200, 10)
    assert rows == 60
    assert NARROW <= pitch < 3.7
    assert pitch * rows + 10 <= 200 + 1e-9
    pitch, rows = fit_rows(100, 200, 10)
    assert rows == 50  # two equal parts
    pitch, rows = fit_rows(30, 200, 10, panels=4)
    assert 2 * (pitch * rows + 10) <= 200 + 1e-9
    assert paginate([90, 90, 90, 250, 10], 200) == [[0, 1], [2], [3], [4]]


def test_lines_are_wrapped():
    with house_style():
        lines = wrap("a few words that need two lines", 25.0)
    assert len(lines) > 1
    assert " ".join(lines) == "a few words that need two lines"
    assert all(text_width(line, 6) <= 25 for line in lines)

"""Figures are saved for print, the same bytes every time."""

from __future__ import annotations

import re

import matplotlib
import pytest
from figure_faults import drawn
from PIL import Image

from benchmark.errors import InputError
from leaderboard.figures import Choice
from leaderboard.figures.board_view import read_board_data
from leaderboard.figures.critical_difference import levels
from leaderboard.figures.significance import CLASSES, EQUAL, SHADES, shade
from leaderboard.figures.style import panel_grid, save
from leaderboard.figures.text import fit_text, shorten, signed, text_width

KINDS = ("ranks", "critical-difference", "datasets", "significance", "curves")


@pytest.mark.parametrize(
    "kind",
    [kind if kind == "curves" else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS],
)
def test_equal_data_gives_equal_bytes(data, tmp_path, kind):
    for suffix in ("png", "svg", "pdf"):
        files = [tmp_path / f"{number}.{suffix}" for number in range(2)]
        for file in files:
            save(drawn(kind, data), file, dpi=60)
        first, second = (file.read_bytes() for file in files)
        assert first == second
        assert b"2.0" not in first[:40] or suffix != "png"
        assert matplotlib.__version__.encode() not in first


def test_width_is_the_one_asked_for(data, tmp_path):
    """88 mm are 346 pixels at 100 per inch."""
    save(drawn("ranks", data, Choice(width=88)), tmp_path / "a.png", dpi=100)
    with Image.open(tmp_path / "a.png") as image:
        assert image.width == round(88 / 25.4 * 100)
        assert image.info["dpi"] == pytest.approx((100, 100), abs=0.1)


def test_text_stays_text_and_starts_no_formula(data, tmp_path):
    """SVG holds the words of a hostile title, escaped; PDF embeds TrueType, no outlines."""
    save(drawn("ranks", data), tmp_path / "a.svg")
    svg = (tmp_path / "a.svg").read_text()
    assert "$x_1$ &amp; &lt;b&gt;" in svg
    assert "DejaVu Sans" in svg
    save(drawn("ranks", data), tmp_path / "a.pdf")
    pdf = (tmp_path / "a.pdf").read_bytes()
    assert b"/FontFile2" in pdf  # a TrueType program
    assert b"/Type3" not in pdf
    assert not re.search(rb"/CreationDate|/Producer", pdf)


def test_a_matplotlibrc_does_not_matter(data, tmp_path):
    save(drawn("ranks", data), tmp_path / "a.png", dpi=60)
    with matplotlib.rc_context({"font.size": 30, "savefig.bbox": "tight", "axes.grid": True}):
        save(drawn("ranks", data), tmp_path / "b.png", dpi=60)
        assert matplotlib.rcParams["font.size"] == 30  # and they are put back
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("content", ["[]", '{"boards": [], "schema": 99}', '{"schema": 1}'])
def test_other_json_is_no_leaderboard(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"x.json: not a leaderboard of schema 1"):
        read_board_data(path)


def test_shades_follow_the_classes():
    """A p-value at the end of a class belongs to the next one, as in p < 0.05."""
    expected = {0.0: 0, 0.00099: 0, 0.001: 1, 0.0099: 1, 0.01: 2, 0.0499: 2}
    for verdict, shades in SHADES.items():
        for p, number in expected.items():
            assert shade(verdict, p) == shades[number]
        assert shade(verdict, CLASSES[-1]) == EQUAL
    assert shade("not separable", 0.5) == EQUAL
    assert shade("one seed", None) == "#ffffff"


def test_bars_that_overlap_are_on_different_levels():
    assert levels([(1, 3), (2, 4), (3.5, 5), (6, 7)]) == [0, 1, 0, 0]
    assert levels([]) == []


def test_numbers_and_names_as_printed():
    assert [signed(v) for v in (1.234, -1.236, 0.001, -0.001)] == ["+1.23", "−1.24", "0.00", "0.00"]
    # Half up, as tables and page round.
    assert [signed(v) for v in (0.125, -0.125)] == ["+0.13", "−0.13"]
    assert shorten("a  b\tc", 10) == r"a b\tc"
    assert shorten("abcdef", 4) == "abc…"


def test_names_are_cut_to_the_width():
    room = text_width("WWWW", 6.5)
    cut = fit_text("WWWWWWWW", room, 6.5)
    assert cut.endswith("…")
    assert text_width(cut, 6.5) <= room
    assert fit_text("iii", room, 6.5) == "iii"
    assert text_width("WWWW", 13) == pytest.approx(2 * room, rel=0.01)


@pytest.mark.parametrize(
    ("count", "width", "least", "grid"),
    [(1, 100, 40, (1, 1)), (8, 146, 34, (2, 4)), (5, 146, 34, (2, 3)), (3, 20, 40, (3, 1))],
)
def test_panels_fill_their_rows(count, width, least, grid):
    assert panel_grid(count, width, least) == grid

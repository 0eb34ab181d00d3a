from __future__ import annotations

import io
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from PIL import Image

from leaderboard.figures.critical_difference import levels
from leaderboard.figures.labels import spread
from leaderboard.figures.pareto import log_ticks
from leaderboard.page.palette import series_style

pytestmark = pytest.mark.page
Data = dict[str, Any]


def shot(page: Any) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))


def test_ranks_lie_in_proportion_on_the_axis_and_groups_span_their_members(visit, example):
    page = visit().open(example)
    page.locator("#segmentation-ranks svg").wait_for()
    friedman = example["boards"][0]["friedman"]
    ranks = sorted(friedman["ranks"].values())
    centres = page.locator("#segmentation-ranks .method circle").evaluate_all(
        "nodes => nodes.map(node => Number(node.getAttribute('cx')))"
    )
    slope, offset = np.polyfit(ranks, centres, 1)
    np.testing.assert_allclose(np.polyval([slope, offset], ranks), centres, atol=1e-6)
    bars = page.locator("#segmentation-ranks line.group").evaluate_all(
        "nodes => nodes.map(n => ['x1', 'x2', 'y1'].map(key => Number(n.getAttribute(key))))"
    )
    spans = [[friedman["ranks"][row] for row in group] for group in friedman["groups"]]
    expected = [(slope * min(s) + offset - 4, slope * max(s) + offset + 4) for s in spans]
    np.testing.assert_allclose(sorted(bar[:2] for bar in bars), sorted(expected), atol=1e-6)
    # Bars of one height do not touch, or they would read as one group.
    for level in {bar[2] for bar in bars}:
        row = sorted(bar[:2] for bar in bars if bar[2] == level)
        assert all(first[1] <= second[0] for first, second in pairwise(row))


def test_intervals_are_drawn_where_the_numbers_are(visit, example):
    page = visit().open(example, "plot=caxf")
    page.locator("#segmentation-dots svg").first.wait_for()
    # In the order of the table, which is that of the file.
    rows = [row for row in example["boards"][0]["rows"] if row["cells"][2]]
    card = page.locator("#segmentation-dots figure").first
    means = [f"{row['cells'][2]['mean']:.2f}" for row in rows]
    assert card.locator(".value").all_text_contents() == means
    lines = card.locator(".dot-row line.whisker").evaluate_all(
        "nodes => nodes.map(n => ['x1', 'x2'].map(key => Number(n.getAttribute(key))))"
    )
    cells = [row["cells"][2] for row in rows if row["cells"][2]["ci_low"] is not None]
    ends = np.array([[cell["ci_low"], cell["ci_high"]] for cell in cells])
    fit = np.polyfit(ends.ravel(), np.ravel(lines), 1)
    np.testing.assert_allclose(np.polyval(fit, ends), lines, atol=1e-6)
    # Of a published number only the standard deviation is known: it is drawn in another form.
    stds = [c for row in rows if (c := row["cells"][2])["ci_low"] is None and c["std"] is not None]
    paths = card.locator(".dot-row path.whisker.std").evaluate_all(
        "nodes => nodes.map(n => n.getAttribute('d').match(/M([^,]*),.*?H([^M]*)M/).slice(1))"
    )
    spans = np.array([[c["mean"] - c["std"], c["mean"] + c["std"]] for c in stds])
    np.testing.assert_allclose(np.polyval(fit, spans), np.array(paths, float), atol=1e-6)
    tests = example["boards"][0]["comparisons"]["vasomim"]
    for verdict in ("better", "worse"):
        wanted = [t for t in tests if t["column"] == "caxf/dsc" and t["verdict"] == verdict]
        assert card.locator(f".dot.{verdict}").count() == len(wanted) > 0
    page.locator("#segmentation-table [name=family]").select_option("From scratch")
    kept = [row for row in rows if row["family"] == "From scratch"]
    assert card.locator(".dot-row").count() == len(kept)


def test_marks_of_the_average_rank_are_families(visit, example):
    page = visit().open(example, "plot=rank")
    section = page.locator("#segmentation-dots")
    section.locator("svg.plot").wait_for()
    board = example["boards"][0]
    ranked = [row for row in board["rows"] if row["average_rank"]]
    marks = section.locator(".dot-row .series").evaluate_all("gs => gs.map(g => g.classList[1])")
    looks = [board["families"][row["family"]]["colour"] for row in ranked]
    assert marks == [f"series-{colour}" for colour in looks]
    legend = section.locator(".legend li")
    assert sorted(map(str.strip, legend.all_inner_texts())) == sorted({r["family"] for r in ranked})
    page.locator("#segmentation-dots select").select_option("caxf")
    assert section.locator(".legend").is_hidden()


def test_lines_beyond_the_colours_differ_in_their_strokes(visit, example):
    curve = example["curves"][0]
    line = curve["lines"][0]
    styles = {f"method {n}": series_style(n) for n in range(16)}
    lines = [{**line, "row": name, "title": name, "style": s} for name, s in styles.items()]
    page = visit().open({**example, "curves": [{**curve, "lines": lines}]})
    page.locator("#segmentation-curves svg.plot").wait_for()
    looks = page.locator("#segmentation-curves .series").evaluate_all(
        "gs => gs.map(g => { const s = getComputedStyle(g.querySelector('.stroke'));"
        " return `${s.stroke} ${s.strokeDasharray}`; })"
    )
    assert len(looks) == len(set(looks)) == 16
    marks = page.locator("#segmentation-curves .point").evaluate_all(
        "nodes => nodes.map(node => node.getAttribute('d'))"
    )
    assert all(mark.startswith("M") and "NaN" not in mark for mark in marks)


def test_curves_are_drawn_with_their_numbers(visit, example):
    page = visit().open(example)
    section = page.locator("#segmentation-curves")
    section.locator("svg").first.wait_for()
    for index, curve in enumerate(example["curves"]):
        card = section.locator("figure").nth(index)
        assert card.locator(".series").count() == len(curve["lines"])
        assert card.locator(".point").count() == sum(len(one["points"]) for one in curve["lines"])
        card.locator("summary").click()
        point = curve["lines"][0]["points"][0]
        first = card.locator("tbody td").first.inner_text()
        assert first == f"{point['mean']:.2f} ± {point['std']:.2f}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_page_fits_its_window_and_is_not_empty(visit, large_example, width, scheme):
    page = visit(width, color_scheme=scheme).open(large_example)
    for board in large_example["boards"]:
        if board["id"] != "segmentation":
            page.locator(f"#tab-{board['id']}").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.locator(f"#{board['id']}-dots svg").first.wait_for()
        page.locator(f"#{board['id']}-table table").scroll_into_view_if_needed()
        image = shot(page)
        codes = image.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
        colours, counts = np.unique(codes, return_counts=True)
        assert len(colours) > 100
        paper = colours[counts.argmax()]
        assert paper == (0x14171A if scheme == "dark" else 0xFFFFFF)
        # Something is drawn in every sixth of the window's height.
        bands = np.array_split(np.any(codes != paper, axis=1), 6)
        assert all(band.any() for band in bands)


def test_the_first_column_stays_in_view_on_a_phone(visit, example):
    page = visit(390).open(example)
    box = page.locator("#segmentation-table .table-box")
    head = page.locator("#segmentation-table tbody th").first
    before = head.bounding_box()["x"]
    box.evaluate("node => { node.scrollLeft = 300; }")
    assert box.evaluate("node => node.scrollLeft") == 300
    assert head.bounding_box()["x"] == before


def test_the_choice_of_colours_is_remembered(visit, example):
    page = visit(color_scheme="dark").open(example)
    brightness = "() => getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(brightness) == "rgb(20, 23, 26)"
    page.locator("#theme").click()
    assert page.evaluate(brightness) == "rgb(255, 255, 255)"
    page.reload()
    assert page.evaluate(brightness) == "rgb(255, 255, 255)"
    assert page.locator("#theme").inner_text() == "Dark colours"


def test_sections_without_content_are_omitted(visit, example):
    board = example["boards"][1]
    rows = [{**row, "paper": None} for row in board["rows"]]
    bare = {**board, "comparisons": {}, "overall": {}, "friedman": None, "notes": [], "rows": rows}
    empty = {"costs": None, "curves": [], "runs": {}, "gallery": [], "problems": [], "notes": []}
    empty |= {"methods": {}, "data": {}, "citation": []}
    page = visit().open({**example, **empty, "boards": [bare]})
    headings = page.locator("main h2:visible").all_text_contents()
    assert headings == ["Results", "Intervals", "Notes"]
    assert page.locator("[role=tab]").count() == 0
    assert page.locator("[name=ref]").count() == 0
    assert set(page.locator("tbody .mark").all_text_contents()) == {""}


def test_a_page_without_boards_says_so(visit, example):
    page = visit().open({**example, "boards": []})
    assert page.locator("main").inner_text() == "There are no results yet."


def test_motion_respects_the_preference(visit, example):
    behaviour = "() => getComputedStyle(document.documentElement).scrollBehavior"
    assert visit(reduced_motion="reduce").open(example).evaluate(behaviour) == "auto"
    assert visit(reduced_motion="no-preference").open(example).evaluate(behaviour) == "smooth"


def test_page_and_figures_lay_out_alike(visit, example):
    """Ticks, heights of labels and levels of bars are computed twice, by the same rules."""
    page, rng = visit().open(example), np.random.default_rng(0)
    ends = np.sort(10.0 ** rng.uniform(-4, 6, (100, 2)), axis=1).tolist()
    found = page.evaluate("ends => ends.map((pair) => logTicks(...pair))", ends)
    for (low, high), ticks in zip(ends, found):
        assert ticks == pytest.approx(log_ticks(low, high), rel=1e-12)
    # Bars of whole numbers share ends, labels share places.
    bars = [np.sort(rng.integers(0, 20, (12, 2)), axis=1).tolist() for _ in range(50)]
    bars = [sorted(map(tuple, some)) for some in bars]
    code = "sets => sets.map((bars) => levels(bars.map(([from, to]) => ({ from, to }))))"
    assert page.evaluate(code, bars) == [levels(some) for some in bars]
    wanted = rng.integers(0, 100, (50, 9)).tolist()
    code = "sets => sets.map((wanted) => spread(wanted, 7, 90))"
    assert page.evaluate(code, wanted) == [spread(some, 7, -math.inf, 90) for some in wanted]

"""Scores against costs on the page: the same front as in Python, whatever is chosen."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from benchmark.method_costs import read_costs
from leaderboard.build import published_leaderboard
from leaderboard.costs import pareto_front
from leaderboard.data import board_data
from leaderboard.published import read_tables

pytestmark = pytest.mark.page
Data = dict[str, Any]


@pytest.fixture(scope="module")
def published() -> Data:
    """The papers' tables with the costs that are counted here."""
    return board_data(published_leaderboard(read_tables(), costs=read_costs()))


def expected_front(board: Data, cost: str, score: str, rows: set[str] | None = None) -> set[str]:
    """Ids of the rows on the front, from the data."""
    (axis,) = (axis for axis in board["cost_axes"] if axis["id"] == cost)
    index = [column["id"] for column in board["columns"]].index(score) if score != "rank" else None
    points = {}
    for row in board["rows"]:
        cell = row["average_rank"] if index is None else row["cells"][index]
        if cell and row["id"] in axis["values"] and (rows is None or row["id"] in rows):
            points[row["id"]] = (axis["values"][row["id"]], cell["mean"])
    rises = index is not None and board["columns"][index]["higher_is_better"]
    on = pareto_front(list(points.values()), not axis["higher_is_better"], rises)
    return {name for name, one in zip(points, on) if one}


def ids(section: Any, selector: str = ".method") -> set[str]:
    return {node.get_attribute("data-row") for node in section.locator(selector).all()}


def test_front_of_every_score_and_cost(visit, published):
    """Fifty choices of the journal's first table, each in the URL."""
    page = visit(1200).open(published)
    (board,) = (board for board in published["boards"] if board["id"] == "journal-I")
    section = page.locator("#journal-I-pareto")
    section.locator(".method").first.wait_for()
    score_select, cost_select = section.locator("select").all()
    scores = [option.get_attribute("value") for option in score_select.locator("option").all()]
    assert scores[0] == "rank"
    assert len(scores) == 1 + sum(column["score"] for column in board["columns"])
    for axis, score in itertools.product(board["cost_axes"], scores):
        cost_select.select_option(axis["id"])
        score_select.select_option(score)
        on_front = expected_front(board, axis["id"], score)
        assert ids(section, ".method.on-front") == on_front, (axis["id"], score)
        assert ids(section) <= set(axis["values"])
    page.wait_for_function("() => location.hash.includes('score=')")
    assert "cost=" in page.url


def test_filters_change_the_front_and_the_words(visit, published):
    page = visit(1200).open(published, "q=general")
    (board,) = (board for board in published["boards"] if board["id"] == "journal-I")
    section = page.locator("#journal-I-pareto")
    section.locator(".method").first.wait_for()
    shown = ids(section)
    everything = set(board["cost_axes"][0]["values"])
    assert shown < everything
    front = expected_front(board, board["cost_axes"][0]["id"], "rank", shown)
    assert ids(section, ".method.on-front") == front
    titles = {row["title"] for row in board["rows"] if row["id"] in front}
    words = section.locator(".notes").inner_text()
    line = next(line for line in words.splitlines() if line.startswith("On the Pareto front"))
    assert set(line.partition(": ")[2].split(", ")) == titles
    assert "counted from the configs" in words
    section.locator("summary").click()
    cells = section.locator("tbody tr").all_inner_texts()
    assert sum(text.rstrip().endswith("yes") for text in cells) == len(front)
    assert len(cells) == len(shown)


@pytest.mark.parametrize("width", [390, 768, 1440])
def test_names_cover_neither_each_other_nor_the_points(visit, published, width):
    """Twenty-three methods, most of them at one cost."""
    page = visit(width).open(published, "cost=network_gflops&score=arcade_v/dsc")
    section = page.locator("#journal-I-pareto")
    section.locator(".method").first.wait_for()
    boxes = [node.bounding_box() for node in section.locator(".pareto .label").all()]
    assert len(boxes) >= 20
    dots = [node.bounding_box() for node in section.locator(".pareto .dot").all()]
    # A line of text is higher than its letters.
    inner = [{**box, "y": box["y"] + 2, "height": box["height"] - 4} for box in boxes]
    for one, other in itertools.combinations(inner, 2):
        assert not overlap(one, other)
    for one, dot in itertools.product(inner, dots):
        assert not overlap(one, dot)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def overlap(one: Data, other: Data) -> bool:
    return all(
        one[at] < other[at] + other[size] and other[at] < one[at] + one[size]
        for at, size in (("x", "width"), ("y", "height"))
    )


def test_facts_of_a_point_name_what_is_better(visit, published):
    page = visit(1200).open(published, "cost=step_gflops&score=rank")
    section = page.locator("#journal-I-pareto")
    section.locator(".method").first.wait_for()
    section.locator(".method", has_text="HPM").locator("circle").hover()
    facts = page.locator("#popover").inner_text()
    assert "Pareto front" in facts
    assert "76.12" in facts
    assert "VasoMIM" in facts


def test_one_row_or_none(visit, published):
    """One point is a front of its own; without any, the diagram says so."""
    page = visit(1200).open(published, "q=HPM")
    section = page.locator("#journal-I-pareto")
    section.locator(".method").first.wait_for()
    assert section.locator(".method.on-front").count() == 1
    page = visit(1200).open(published, "q=Frangi")
    section = page.locator("#journal-I-pareto")
    section.locator("svg.plot").wait_for()
    assert "No row that passes the filters has both numbers." in section.inner_text()
    assert "Without one of the numbers: Frangi Filter" in section.inner_text()


def test_tables_without_costs_have_no_diagram(visit, evaluations):
    page = visit().open(evaluations)
    page.locator("#segmentation-table").wait_for()
    assert page.locator("#segmentation-pareto").count() == 0


@pytest.fixture(scope="module")
def evaluations(build, make_evaluations) -> Data:
    return board_data(build(make_evaluations()))

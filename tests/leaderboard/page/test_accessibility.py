"""The rules of axe-core (WCAG 2 A and AA, targets of 24 px, best practices) on every page."""

from __future__ import annotations

from typing import Any

import pytest

from leaderboard.compare.content import parts
from leaderboard.compare.page import to_html
from leaderboard.compare.side_by_side import pair_tables
from leaderboard.published import read_tables

pytestmark = pytest.mark.page

OPTIONS = {"rules": {"target-size": {"enabled": True}}, "resultTypes": ["violations"]}
#: Rows side by side.
PINNED = ("mae", "vasomim")
WIDTHS = (390, 768, 1440)
SCHEMES = ("light", "dark")


def violations(page: Any) -> list[tuple[str, str]]:
    """Rule and element of each violation in what is shown."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    # Boxes learn on the next frames whether they scroll.
    page.wait_for_timeout(200)
    found = axe.run(page, options=OPTIONS).response
    assert len(found["passes"]) > 5
    return [
        (rule["id"], node["html"][:200]) for rule in found["violations"] for node in rule["nodes"]
    ]


@pytest.fixture(scope="module")
def short(example) -> dict[str, Any]:
    """Every kind of section and of row, but few rows: the rules look at each element."""
    first, *others = example["boards"]
    rows = [*first["rows"][:3], *first["rows"][-3:]]
    rows += [row for row in first["rows"] if row["id"] in PINNED and row not in rows]
    return {**example, "boards": [{**first, "rows": rows}, *others]}


def open_all(page: Any) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(node => { node.open = true; })")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_the_board_with_its_popover_and_its_dialog(visit, short, width, scheme):
    page = visit(width, color_scheme=scheme).open(short, f"pin={','.join(PINNED)}&ranks=1")
    assert violations(page) == []
    open_all(page)
    assert violations(page) == []
    page.locator("#segmentation-table tbody td.num").nth(1).focus()
    assert page.locator("#popover").is_visible()
    assert violations(page) == []
    page.keyboard.press("Enter")
    assert page.locator("#details").is_visible()
    assert violations(page) == []


@pytest.mark.parametrize(("width", "scheme"), list(zip(WIDTHS, ("dark", "light", "dark"))))
def test_the_evaluations(visit, evaluated, width, scheme):
    page = visit(width, color_scheme=scheme).open(evaluated)
    for board in ("overview", "few-labels-dca1", "corruptions"):
        page.evaluate("board => { location.hash = `#board=${board}`; }", board)
        page.locator(f"#panel-{board}").wait_for()
        open_all(page)
        assert violations(page) == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_the_comparison_with_the_papers(visit, width, scheme):
    tables = pair_tables(read_tables()[:2], {}, {}, lambda cell: ["configs/leaderboard/journal.py"])
    page = visit(width, color_scheme=scheme).open_html(to_html(parts(tables, {})))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(page) == []

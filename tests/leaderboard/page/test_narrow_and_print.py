"""The board on a phone and on paper."""

from __future__ import annotations

import re
from typing import Any

import pytest

pytestmark = pytest.mark.page

PHONE, HEIGHT = 390, 844
TABLE = "#segmentation-table .table-box"


def test_the_first_screen_of_a_phone_has_scores_beside_their_methods(visit, example):
    page = visit(PHONE).open(example)
    board = example["boards"][0]
    for index in range(3):
        row = page.locator("#segmentation-table tbody tr").nth(index)
        score = row.locator("td.num").nth(1)
        box, name = score.bounding_box(), row.locator("th").bounding_box()
        assert box["y"] + box["height"] <= HEIGHT
        assert name["x"] + name["width"] <= box["x"]
        assert box["x"] + box["width"] <= PHONE
        assert (
            score.locator(".mean").inner_text() == f"{board['rows'][index]['cells'][0]['mean']:.2f}"
        )


def test_the_choices_open_on_demand_on_a_phone_only(visit, example):
    phone = visit(PHONE).open(example)
    search = phone.locator("#segmentation-table [name=q]")
    assert search.is_hidden()
    phone.get_by_text("Choices and signs").click()
    search.fill("mae")
    assert "better than VasoMIM" in phone.locator("#segmentation-table .legend").inner_text()
    wide = visit(1440).open(example)
    assert wide.locator("#segmentation-table [name=q]").is_visible()
    assert wide.get_by_text("Choices and signs").is_hidden()
    wide.set_viewport_size({"width": PHONE, "height": HEIGHT})
    wide.locator("#segmentation-table [name=q]").wait_for(state="hidden")


def test_arrow_keys_skip_the_columns_a_phone_has_no_room_for(visit, example):
    page = visit(PHONE).open(example)
    page.locator("#segmentation-table tbody th").first.focus()
    page.keyboard.press("ArrowRight")
    assert "rank" in page.locator(":focus").get_attribute("class")
    page.keyboard.press("ArrowLeft")
    assert page.locator("th:focus").count() == 1


def test_boxes_that_scroll_say_so_and_take_the_focus(visit, example):
    page = visit(PHONE).open(example)
    box = page.locator(TABLE)
    hint = page.get_by_text("More columns: scroll sideways")
    page.locator(f"{TABLE}[data-more=right]").wait_for()
    assert hint.is_visible()
    # Its cells are tab stops, so the box is none.
    assert box.get_attribute("tabindex") is None
    box.evaluate("node => { node.scrollLeft = node.scrollWidth; }")
    page.locator(f"{TABLE}[data-more=left]").wait_for()
    tests = page.locator("#segmentation-overall .scroll")
    assert [tests.get_attribute(key) for key in ("tabindex", "role", "aria-label")] == [
        *("0", "group", "Overall tests")
    ]
    page.set_viewport_size({"width": 1440, "height": 900})
    page.locator("#segmentation-overall .scroll:not([tabindex])").wait_for()


@pytest.mark.parametrize("paper", ["A4", "Letter"])
@pytest.mark.parametrize("landscape", [False, True])
def test_a_wide_board_is_printed_in_blocks_that_fit_the_page(
    visit, large_example, tmp_path, paper, landscape
):
    """Nothing is wider than the sheet, and no number is lost or printed twice."""
    page = visit().open(large_example)
    page.pdf(path=tmp_path / "board.pdf", format=paper, landscape=landscape)
    size = {"A4": (595, 842), "Letter": (612, 792)}[paper]
    pages = re.findall(
        rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", (tmp_path / "board.pdf").read_bytes()
    )
    expected = size[::-1] if landscape else size
    for found in pages:
        assert tuple(map(float, found)) == pytest.approx(expected, abs=1.5)
    assert page.locator(".print-only").count() == 0


def printed(page: Any) -> None:
    """The page as it is while the browser prints on A4."""
    page.emulate_media(media="print", color_scheme="light")
    page.set_viewport_size({"width": int((210 - 24) / 25.4 * 96), "height": 1000})
    # A narrow window folds some sections, which it is told of with its next frame.
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")


def test_blocks_repeat_the_method_and_have_every_column_once(visit, large_example):
    page = visit().open(large_example)
    page.locator("#segmentation-table [name=family]").select_option("From scratch")
    shown = page.locator(
        "#segmentation-table .table-box tbody tr:visible .mean"
    ).all_text_contents()
    printed(page)
    blocks = page.locator("#segmentation-table .printed")
    assert blocks.count() > 3
    assert page.locator("#segmentation-table .table-box").is_hidden()
    board = large_example["boards"][0]
    heads = [
        (group, label)
        for block in blocks.all()
        for group, label in zip(
            [
                th.inner_text()
                for th in block.locator("th.group").all()
                for _ in range(int(th.get_attribute("colspan")))
            ],
            block.locator("thead tr:nth-child(2) th").all_inner_texts(),
        )
    ]
    columns = [(c["dataset_title"], f"{c['label']} {c['unit']}".strip()) for c in board["columns"]]
    assert [(group, label.strip()) for group, label in heads] == columns
    for block in blocks.all():
        assert block.locator("thead th").first.inner_text() == "Method"
        box = block.bounding_box()
        assert box["x"] + box["width"] <= page.viewport_size["width"]
    assert sorted(blocks.locator(".mean").all_text_contents()) == sorted(shown)
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator(".printed").count() == 0


@pytest.mark.parametrize("board", ["segmentation", "overview", "few-labels-dca1"])
def test_nothing_is_wider_than_the_paper_or_dark(visit, example, evaluated, board):
    data = example if board == "segmentation" else evaluated
    page = visit(color_scheme="dark").open(data, f"board={board}")
    page.locator(f"#panel-{board} section").first.wait_for()
    page.locator(f"#panel-{board} svg").first.wait_for()
    printed(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(27, 31, 36)"
    for control in (".toolbar", ".jump", ".tabs", "#theme"):
        assert page.locator(control).first.is_hidden()
    # What explains the numbers is open; the diagrams are drawn for the width of the paper.
    assert page.locator(f"#panel-{board} details:not([open])").count() == 0
    for plot in page.locator(f"#panel-{board} svg.plot").all():
        assert float(plot.get_attribute("width")) <= page.viewport_size["width"]

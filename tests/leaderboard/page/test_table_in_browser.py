from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from board_locators import by_id, cell, names_of

pytestmark = pytest.mark.page

MARKS = {"better": "▲", "worse": "▼", "not separable": "≈"}


def fixed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def test_the_page_asks_for_nothing_and_every_tab_works(visit, example):
    visitor = visit()
    page = visitor.open(example)
    for board in example["boards"]:
        page.locator(f"#tab-{board['id']}").click()
        rows = page.locator(f"#{board['id']}-table tbody tr")
        assert rows.count() == len(board["rows"])
        assert rows.first.locator("td").count() == 3 + len(board["columns"])
    # What the page carries in itself is a "request", too, to the browser.
    outside = [url for url in visitor.requests if not url.startswith("data:")]
    assert len(outside) == 1
    assert outside[0].endswith("index.html")


def test_an_injected_script_stays_text(visit, example):
    page = visit().open(example)
    assert page.locator("h1").inner_text() == example["title"]
    assert "<script>alert(1)</script>" in names_of(page)
    assert page.evaluate("document.querySelectorAll('main script, header script').length") == 0


def test_the_policy_blocks_an_injected_script(visit, example):
    visitor = visit()
    page = visitor.open(example)
    page.evaluate(
        "() => { const s = document.createElement('script');"
        " s.textContent = 'window.planted = 1'; document.body.append(s); }"
    )
    assert page.evaluate("window.planted") is None
    assert "Content Security Policy" in visitor.faults.pop()


@pytest.mark.parametrize("column", [0, 1])
def test_columns_sort_by_number_and_undefined_stays_last(visit, example, column):
    """Column 1 is undefined for two rows, which come last in both directions."""
    page = visit().open(example)
    rows = example["boards"][0]["rows"]
    head = page.locator("#segmentation-table thead tr:nth-child(2) th").nth(column)
    known = [row for row in rows if row["cells"][column]]
    unknown = [row["title"] for row in rows if not row["cells"][column]]
    assert len(unknown) == 2 * column
    for aria, reverse in (("descending", True), ("ascending", False)):
        head.locator("button").click()
        ordered = sorted(known, key=lambda row: row["cells"][column]["mean"], reverse=reverse)
        assert names_of(page) == [row["title"] for row in ordered] + unknown
        assert head.get_attribute("aria-sort") == aria
        assert page.locator("#segmentation-table [aria-sort]").count() == 1


def test_rank_and_words_sort_and_a_lower_is_better_column_starts_with_the_lowest(visit, example):
    page = visit().open(example)
    page.locator("#segmentation-table .sort", has_text="Family").click()
    families = page.locator("#segmentation-table tbody td:nth-child(2)").all_text_contents()
    assert families == sorted(families)
    page.locator("#segmentation-table .sort", has_text="Average rank").click()
    ranked = [row["title"] for row in example["boards"][0]["rows"] if row["average_rank"]]
    assert names_of(page)[: len(ranked)] == ranked
    page.locator("#tab-denoising").click()
    page.locator("#denoising-table .sort", has_text="LPIPS").click()
    values = page.locator("#denoising-table tbody td:nth-child(6) .mean").all_text_contents()
    assert list(map(float, values)) == sorted(map(float, values))


def test_filters_keep_the_matching_rows(visit, example):
    page = visit().open(example)
    rows = example["boards"][0]["rows"]
    toolbar = page.locator("#segmentation-table .toolbar")

    def check(keep: Callable[[dict[str, Any]], bool]) -> None:
        titles = [row["title"] for row in rows if keep(row)]
        assert 0 < len(titles) < len(rows)
        assert names_of(page) == titles
        assert toolbar.locator(".shown").inner_text() == f"{len(titles)} of {len(rows)} rows"

    toolbar.locator("[name=family]").select_option("From scratch")
    check(lambda row: row["family"] == "From scratch")
    toolbar.locator("[name=data]").select_option("XA-170K")
    check(lambda row: row["family"] == "From scratch" and row["pretraining"] == "XA-170K")
    toolbar.get_by_text("Show all").click()
    assert len(names_of(page)) == len(rows)
    toolbar.locator("[name=origin]").select_option("published")
    check(lambda row: row["origin"] == "published")
    toolbar.get_by_text("Show all").click()
    toolbar.locator("[name=complete]").check()
    check(lambda row: row["complete"])
    toolbar.locator("[name=complete]").uncheck()
    toolbar.locator("[name=q]").fill("vaso MIM")
    check(lambda row: "VasoMIM" in f"{row['title']} {row['source']}")


@pytest.mark.parametrize("reference", ["vasomim", "mae", "one_seed"])
def test_marks_are_the_computed_verdicts_of_the_chosen_reference(visit, example, reference):
    page = visit().open(example)
    page.locator("#segmentation-table [name=ref]").select_option(reference)
    board = example["boards"][0]
    tests = {(t["row"], t["column"]): t["verdict"] for t in board["comparisons"][reference]}
    expected = [
        [
            MARKS.get(v, "·") if (v := tests.get((row["id"], column["id"]))) else ""
            for column, cell in zip(board["columns"], row["cells"])
            if cell
        ]
        for row in board["rows"]
    ]
    found = [
        row.locator(".mark").all_text_contents()
        for row in page.locator("#segmentation-table tbody tr").all()
    ]
    assert found == expected
    assert any("·" in marks for marks in found)
    assert page.locator("#segmentation-table tr.is-reference .tag.reference").is_visible()
    overall = {test["row"]: test for test in board["overall"][reference]}
    lines = page.locator("#segmentation-overall tbody tr").all_inner_texts()
    assert len(lines) == len(overall)
    best = max(overall.values(), key=lambda test: test["difference"])
    title = by_id(board)[best["row"]]["title"]
    sign = "+" if best["difference"] > 0 else ""
    assert lines[0].split("\t")[:3] == [title, "3", sign + fixed(best["difference"])]


def test_popover_shows_what_is_behind_a_number(visit, example):
    page = visit().open(example)
    board = example["boards"][0]
    data = by_id(board)["mae"]["cells"][0]
    test = next(
        t
        for t in board["comparisons"]["vasomim"]
        if (t["row"], t["column"]) == ("mae", "arcade_v/dsc")
    )
    popover = page.locator("#popover")
    assert popover.is_hidden()
    target = cell(page, "MAE", 0)
    target.hover()
    text = popover.inner_text()
    assert f"{fixed(data['mean'])} ± {fixed(data['std'])}" in text
    assert f"[{fixed(data['ci_low'])}, {fixed(data['ci_high'])}]" in text
    assert "n = 5" in text
    for seed, value in enumerate(data["values"]):
        assert f"seed {seed}{fixed(value)}" in text.replace("\n", "").replace(" 7", "7")
    assert f"{'+' if test['difference'] > 0 else ''}{fixed(test['difference'])} [" in text
    assert f"p (Holm)\n{test['p_holm']:.3f}" in text.replace("\n\n", "\n")
    assert "300 in 100 patients" in text
    page.mouse.move(1, 1)
    popover.wait_for(state="hidden")
    target.focus()
    assert popover.is_visible()
    assert target.get_attribute("aria-describedby") == "popover"
    page.keyboard.press("Escape")
    assert popover.is_hidden()


def test_a_published_number_has_no_interval_and_names_its_source(visit, example):
    page = visit().open(example, "origin=published")
    page.locator("#segmentation-table tbody tr:visible td.num").nth(1).hover()
    text = page.locator("#popover").inner_text()
    assert "95 % CI\n—" in text.replace("\n\n", "\n")
    assert "Published: Journal version of VasoMIM, table I" in text
    assert page.locator("#popover button").count() == 0


def test_keyboard_alone_reads_cells_and_runs(visit, example):
    page = visit().open(example)
    # The last sort button is followed by the one cell that takes part in the tab order.
    page.locator("#segmentation-table thead .sort").last.focus()
    page.keyboard.press("Tab")
    row = example["boards"][0]["rows"][1]
    columns = [column["id"] for column in example["boards"][0]["columns"]]
    place = columns.index("xcav/dsc") - len(columns)
    for key in ("ArrowDown", "End", *["ArrowLeft"] * (-1 - place)):
        page.keyboard.press(key)
    focused = page.locator(":focus")
    assert focused.locator(".mean").inner_text() == fixed(row["cells"][place]["mean"])
    assert page.locator("#segmentation-table [tabindex='0']").count() == 1
    page.keyboard.press("Enter")
    dialog = page.locator("#details")
    assert dialog.locator("h2").inner_text() == f"{row['title']} · XCAV DSC"
    assert dialog.locator("option").all_text_contents() == row["cells"][place]["runs"]
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert focused.locator(".mean").inner_text() == fixed(row["cells"][place]["mean"])


def test_dialog_shows_the_record_of_each_run(visit, example):
    visitor = visit(permissions=["clipboard-read", "clipboard-write"])
    page = visitor.open(example)
    cell(page, "MAE", 0).hover()
    page.locator("#popover button").click()
    dialog = page.locator("#details")
    run = "journal/mae/arcade_v/seed3"
    dialog.locator("select").select_option(run)
    assert json.loads(dialog.locator("pre").inner_text()) == example["runs"][run]
    assert "NVIDIA H200" in dialog.inner_text()
    assert "1 h 12 min" in dialog.inner_text()
    dialog.get_by_text("Copy JSON").click()
    dialog.get_by_text("Copied").wait_for()
    assert json.loads(page.evaluate("navigator.clipboard.readText()")) == example["runs"][run]
    dialog.get_by_text("Close").click()
    measured = page.locator("#segmentation-table tbody tr", has_not_text="published")
    measured.locator("th").get_by_text("MAE", exact=True).click()
    assert dialog.locator("a").first.get_attribute("href") == "https://arxiv.org/abs/2111.06377"


def test_costs_are_a_plain_table_of_the_boards_rows(visit, example):
    page = visit().open(example)
    table = page.locator("#segmentation-costs table").first
    heads = table.locator("thead th").all_inner_texts()
    assert (heads[0], heads[1], heads[-1]) == ("Method", "Parameters (M)", "Measured on")
    rows = [row.locator("th, td").all_inner_texts() for row in table.locator("tbody tr").all()]
    assert [row[0] for row in rows] == ["MAE", "VasoMIM"]
    assert (rows[0][1], rows[0][-2]) == ("85.80", "20480")
    assert rows[0][-1] == "<script>alert(1)</script>, scale paper, batch 256, bf16"
    assert (rows[1][1], rows[1][2], rows[1][-1]) == ("85.80", "—", "—")
    # Neither of the two detects stenoses here without rows of its own.
    detectors = {row["method"] for row in example["boards"][1]["rows"]}
    shown = page.locator("#detection-costs")
    page.locator("#tab-detection").click()
    assert shown.count() == bool(detectors & {"mae", "vasomim"})


def test_indices_and_p_values_have_the_digits_of_the_tables(visit, example):
    """A silhouette has four decimals, a p-value two significant digits."""
    board = example["boards"][2]
    column = {**board["columns"][0], "unit": "", "digits": 4}
    data = {**example, "boards": [{**board, "columns": [column, *board["columns"][1:]]}]}
    page = visit().open(data)
    first = page.locator("#denoising-table tbody tr").first.locator("td").nth(3)
    assert re.fullmatch(r"\d+\.\d{4}", first.locator(".mean").inner_text())
    values = [None, 0, 1.18e-4, 0.0123, 0.04996, 0.05, 0.634, 1]
    assert page.evaluate("values => values.map(pValue)", values) == [
        *("—", "<1e-300", "1.2e-04", "0.012", "0.04996", "0.050", "0.63", "1.0")
    ]


def test_known_leakage_is_marked_explained_and_can_be_hidden(visit, example):
    board = example["boards"][0]
    first, *others = board["rows"]
    cells = [dict(first["cells"][0], leakage="3 identical", skipped_steps=2), *first["cells"][1:]]
    boards = [{**board, "rows": [{**first, "cells": cells}, *others]}, *example["boards"][1:]]
    page = visit().open({**example, "boards": boards})
    table = page.locator("#segmentation-table")
    target = table.locator("tbody td:not(.rank) .warning:not(:empty)")
    assert target.all_text_contents() == ["‡§"]
    # The average rank counts that score.
    assert table.locator("tbody .rank .warning").all_text_contents() == ["‡§"]
    assert "known leakage" in table.locator(".legend").inner_text()
    target.hover()
    assert "3 identical" in page.locator("#popover").inner_text()
    rows = table.locator("tbody tr:visible")
    before = rows.count()
    table.get_by_label("Without known leakage").check()
    assert rows.count() == before - 1
    # Boards without any do not ask.
    assert page.locator("#detection-table").get_by_label("Without known leakage").count() == 0


def test_only_web_urls_become_links(visit, example):
    board = example["boards"][2]
    links = dict.fromkeys(("paper", "paper_url", "code"), "javascript:alert(1)")
    methods = {row["method"]: links for row in board["rows"]}
    page = visit().open({**example, "boards": [board], "methods": methods})
    page.locator("#denoising-table tbody th").first.click()
    assert "javascript:alert(1)" in page.locator("#details").inner_text()
    assert page.locator("#details a").count() == 0


def test_tabs_follow_the_arrow_keys(visit, example):
    page = visit().open(example)
    page.locator("[role=tab]").first.focus()
    steps = {"ArrowRight": "detection", "End": "denoising", "Home": "segmentation"}
    for key, tab in steps.items():
        page.keyboard.press(key)
        assert page.locator(":focus").get_attribute("id") == f"tab-{tab}"
        assert page.locator("[aria-selected=true]").get_attribute("id") == f"tab-{tab}"
        assert page.locator("[role=tabpanel]:visible").get_attribute("id") == f"panel-{tab}"


def test_the_url_keeps_the_view(visit, example):
    page = visit().open(example)
    page.locator("#segmentation-table [name=q]").fill("mim")
    page.locator("#segmentation-table [name=ref]").select_option("mae")
    page.locator("#segmentation-table thead tr:nth-child(2) .sort").nth(2).click()
    names = names_of(page)
    page.wait_for_url(re.compile("sort=caxf/dsc"))
    page.reload()
    assert names_of(page) == names
    assert page.locator("#segmentation-table [name=ref]").input_value() == "mae"
    page.evaluate("location.hash = '#board=detection'")
    assert page.locator("#panel-detection").is_visible()


def test_unknown_values_in_the_url_fall_back(visit, example):
    view = "board=nothing&sort=no/column&dir=up&ref=nobody&plot=x&set=y&image=z&a=q&b=q"
    page = visit().open(example, view)
    assert names_of(page) == [row["title"] for row in example["boards"][0]["rows"]]
    assert page.locator("#segmentation-table [name=ref]").input_value() == "vasomim"
    assert page.locator("#segmentation-viewer canvas").count() == 4


def test_analyses_share_a_tab_and_keep_their_curves(visit, example):
    boards = [
        {**example["boards"][1], "id": f"analysis-{name}", "analysis": name, "title": name.title()}
        for name in ("labels", "guidance")
    ]
    curves = [{**example["curves"][0], "id": "analysis-guidance:arcade_v/dsc"}]
    data = {**example, "boards": [*example["boards"], *boards], "curves": curves}
    page = visit().open(data)
    assert page.locator("[role=tab]").all_inner_texts() == [
        *("Segmentation 31", "Detection 10", "Denoising 6", "Analyses 2")
    ]
    assert page.locator("[name=analysis]").is_hidden()
    page.locator("#tab-analyses").click()
    assert page.locator("#panel-analysis-labels h2").all_text_contents().count("Curves") == 0
    page.locator("[name=analysis]").select_option("Guidance")
    panel = page.locator("[role=tabpanel]:visible")
    assert panel.get_attribute("id") == "panel-analysis-guidance"
    assert panel.get_attribute("aria-labelledby") == "tab-analyses"
    panel.locator("#analysis-guidance-curves svg").wait_for()  # exactly one
    assert page.locator("#tab-analyses").get_attribute("aria-selected") == "true"

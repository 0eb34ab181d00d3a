"""Every place of the page says what the other formats say, for the current choice."""

from __future__ import annotations

from typing import Any

import pytest
from board_locators import by_id, cell

from leaderboard.comparable import LEAKAGE, WARNINGS, Conditions
from leaderboard.statistics import difference_text, p_number, rounded

pytestmark = pytest.mark.page


def with_cells(example: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The example with these fields in the second cell of the best row."""
    board = example["boards"][0]
    first, *others = board["rows"]
    cells = [first["cells"][0], {**first["cells"][1], **fields}, *first["cells"][2:]]
    boards = [{**board, "rows": [{**first, "cells": cells}, *others]}, *example["boards"][1:]]
    return {**example, "boards": boards}


@pytest.mark.parametrize(("fields", "mark"), [({"leakage": "3 identical"}, " ‡"), ({}, "")])
def test_overall_tests_of_marked_scores_are_marked(visit, example, fields, mark):
    data = with_cells(example, **fields)
    leaked = data["boards"][0]["rows"][0]["title"]
    page = visit().open(data)
    rows = page.locator("#segmentation-overall tbody tr")
    verdicts = {r.locator("th, td").first.inner_text(): r.inner_text() for r in rows.all()}
    assert len(verdicts) > 3
    for title, text in verdicts.items():
        assert ("‡" in text) is (bool(mark) and title == leaked)


def test_numbers_round_as_in_the_other_formats(visit, example):
    """Ties too: ranks end in 0.125, and so do p-values of sign-flip tests."""
    page = visit().open(example)
    values = [0.125, 0.375, -0.125, 2.5, 0.005, 1.005, -0.004, 0.0, -1e-9, 79.995, 0.6250001]
    for digits in (0, 1, 2, 4):
        numbers = page.evaluate("([v, d]) => v.map((x) => fixed(x, d))", [values, digits])
        signed = page.evaluate("([v, d]) => v.map((x) => signed(x, d))", [values, digits])
        assert numbers == [rounded(v, digits).replace("-", "−") for v in values]
        assert signed == [difference_text(v, digits).replace("-", "−") for v in values]
    chances = [0.125, 0.0125, 0.375, 0.0625, 0.03125, 0.04996, 0.05, 9.99e-4, 1.25e-4, 0.0999999]
    chances += [2.0**-k for k in range(40)]
    assert page.evaluate("v => v.map(pValue)", chances) == list(map(p_number, chances))


def test_another_reference_changes_every_place(visit, example):
    board = example["boards"][0]
    combined = {
        "title": "Both tasks",
        "reference_row": "vasomim",
        "columns": [column["id"] for column in board["columns"]],
        "overall": {
            f"published:p:{by_id(board)[reference]['title']}": [
                {**test, "row": f"published:p:{test['row']}"} for test in tests
            ]
            for reference, tests in board["overall"].items()
        },
    }
    page = visit().open({**example, "combined": combined})
    head = page.locator("#head .head-facts")
    overall = page.locator("#segmentation-overall")
    together = page.locator("#segmentation-combined")
    notes = page.locator("#segmentation-notes")
    legend = page.locator("#segmentation-table .legend")
    assert "Reference\nVasoMIM\n" in head.inner_text()
    select = page.locator("#segmentation-table [name=ref]")
    for reference, title in (("mae", "MAE"), ("dino", "DINO")):
        select.select_option(reference)
        assert f"{title} (chosen; declared: VasoMIM)" in head.inner_text()
        assert f"Each row against {title}" in overall.inner_text()
        assert f"Each row against {title}" in together.inner_text()
        tests = sorted(board["overall"][reference], key=lambda test: -test["difference"])
        assert together.locator("tbody th").all_inner_texts() == [test["row"] for test in tests]
        for name in ("simmim", "ibot"):
            cell(page, by_id(board)[name]["title"], 0).hover()
            assert f"Against {title}" in page.locator("#popover").inner_text()
        for note in board["reference_notes"][reference]:
            assert note in notes.inner_text()
        assert f"better than {title} (Holm)" in legend.inner_text()
        assert page.locator("#segmentation-dots .dot-row.is-reference").count() == 2
    page.locator("#tab-detection").click()
    assert "Reference\nDINO (chosen; declared: VasoMIM)\n" in head.inner_text()
    # This board does not have it: its tests are against the declared one.
    page.evaluate("location.hash = '#board=denoising&ref=unet'")
    page.locator("#panel-denoising").wait_for()
    assert "Reference\nVasoMIM\n" in head.inner_text()


def test_without_results_of_the_declared_reference_nothing_is_tested_until_one_is_chosen(
    visit, example
):
    boards = [{**board, "reference_row": "moco"} for board in example["boards"]]
    page = visit().open({**example, "reference": "moco", "boards": boards})
    table = page.locator("#segmentation-table")
    assert set(table.locator("tbody .mark").all_text_contents()) == {""}
    assert "moco, without results here" in page.locator("#head").inner_text()
    assert "choose one above the table" in page.locator("#segmentation-overall").inner_text()
    table.locator("[name=ref]").select_option("mae")
    assert "▲" in table.locator("tbody .mark").all_text_contents()
    assert "MAE (chosen; declared: moco)" in page.locator("#head").inner_text()


def test_warnings_reach_the_diagrams(visit, example):
    """A score with known leakage is marked wherever it is drawn, and the mark is explained."""
    data = with_cells(example, leakage="3 identical")
    column = data["boards"][0]["columns"][1]["id"]
    (title, first), (_, second) = ((r["title"], r["id"]) for r in data["boards"][0]["rows"][:2])
    axis = {"id": "network_m", "title": "Parameters", "unit": "M", "digits": 1}
    axis |= {"definition": "counted", "higher_is_better": False, "values": {first: 1, second: 2}}
    view = f"plot=all&score={column}&cost=network_m"
    for content, marked in ((example, False), (data, True)):
        board, *others = content["boards"]
        boards = [{**board, "cost_axes": [axis]}, *others]
        page = visit(1200).open({**content, "boards": boards}, view)
        dots, pareto = (page.locator(f"#segmentation-{part}") for part in ("dots", "pareto"))
        values = dots.locator("figure").nth(1).locator(".value")
        values.first.wait_for()
        assert [text[-1] for text in values.all_text_contents()].count("‡") == marked
        names = pareto.locator(".pareto .label")
        names.first.wait_for()
        assert (f"{title}‡" in names.all_text_contents()) is marked
        for section in (dots, pareto):
            assert ("‡ known leakage" in section.inner_text()) is marked
        # The average rank counts that score, too.
        pareto.locator("select").first.select_option("rank")
        pareto.locator(".pareto .label").first.wait_for()
        assert (f"{title}‡" in names.all_text_contents()) is marked


def test_the_signs_of_the_table_are_those_that_are_explained(visit, example):
    data = with_cells(example, place=2, rank=2, tier=1, leakage="3 identical", skipped_steps=4)
    about = {
        "[k]": "[k] is the rank in the column",
        "†": "† marks what is not separable",
        "‡": "‡ Known leakage",
        "§": "§ Training steps",
    }
    board, others = data["boards"][0], data["boards"][1:]
    boards = [{**board, "notes": [about["‡"], about["§"]]}, *others]
    general = [about["[k]"], about["†"], "Scores are in percent."]
    page = visit().open({**data, "notes": general, "boards": boards})
    table, notes = page.locator("#segmentation-table"), page.locator("#segmentation-notes")

    def explained() -> set[str]:
        samples = table.locator(".legend li span").all_text_contents()
        shown = {sign for sign, text in about.items() if text in notes.inner_text()}
        assert shown == set(samples) & set(about)
        assert "Scores are in percent." in notes.inner_text()
        return shown

    assert explained() == {"†", "‡", "§"}
    signs = table.locator("tbody tr").first.locator("td").nth(4)
    assert signs.inner_text().endswith("†‡§")
    assert "[2]" not in signs.inner_text()
    table.get_by_label("Ranks in cells").check()
    assert explained() == set(about)
    assert signs.inner_text().endswith("[2]†‡§")
    table.locator("[name=q]").fill("U-Net")
    assert explained() == {"[k]"}
    table.locator("[name=q]").fill("")
    table.get_by_label("Without known leakage").check()
    table.get_by_label("Ranks in cells").uncheck()
    assert explained() == set()


def test_an_incomplete_board_says_beside_the_ranks_what_they_cover(visit, example):
    page = visit().open(example, "plot=rank")
    complete, competing = example["boards"][0]["ranked"]
    assert complete < competing
    size = f"{complete} of {competing} rows"
    assert size in page.locator("#segmentation-table thead .rank").inner_text()
    assert size in page.locator("#segmentation-dots figcaption").inner_text()
    page.locator("#segmentation-table tbody td.rank").first.hover()
    assert f"{complete} complete rows of {competing}" in page.locator("#popover").inner_text()
    assert f"Ranks are of the {complete} complete rows of {competing}" in (
        page.locator("#segmentation-notes").inner_text()
    )
    page.locator("#tab-denoising").click()
    assert page.locator("#denoising-table thead .rank").inner_text() == "Average rank"


@pytest.mark.parametrize(
    ("correction", "head", "key"), [("bh", "p (BH)", "p_bh"), ("none", None, "p")]
)
def test_the_chosen_correction_is_named_everywhere(visit, example, correction, head, key):
    page = visit().open({**example, "correction": correction})
    name = {"bh": "Benjamini–Hochberg", "none": "uncorrected"}[correction]
    legend = page.locator("#segmentation-table .legend").inner_text()
    assert f"better than VasoMIM ({name})" in legend
    heads = page.locator("#segmentation-overall thead th").all_inner_texts()
    assert [text for text in heads if text.startswith("p (")] == [head] * bool(head)
    first, tests = heads.index("p") + bool(head), example["boards"][0]["overall"]["vasomim"]
    best = max(tests, key=lambda test: test["difference"])
    shown = page.locator("#segmentation-overall tbody tr").first.locator("th, td").nth(first)
    assert shown.inner_text() == p_number(best[key])
    # The first column has a test over images, too.
    cell(page, "MAE", 0).hover()
    terms = page.locator("#popover dt").all_inner_texts()
    assert [term for term in terms if term.startswith("p (")] == [head] * 2 * bool(head)


def test_a_filter_of_another_board_hides_nothing(visit, example):
    """Before, the select said "All families" above an empty table."""
    page = visit().open(example, "board=denoising&family=Nobody&data=Nothing&origin=elsewhere")
    rows = len(example["boards"][2]["rows"])
    assert page.locator("#denoising-table tbody tr:visible").count() == rows


def test_an_incomplete_reference_has_no_overall_tests_and_says_why(visit, example):
    page = visit().open(example, "ref=incomplete")
    text = page.locator("#segmentation-overall").inner_text()
    assert f"No tests: {by_id(example['boards'][0])['incomplete']['title']} has no result" in text


def test_verdicts_in_a_sentence(visit, example):
    page = visit().open(example)
    verdicts = ["better", "worse", "not separable", "other settings"]
    words = page.evaluate("v => v.map((verdict) => verdictWords({ verdict }, 'MAE'))", verdicts)
    assert words == [
        "better than MAE",
        "worse than MAE",
        "not separable from MAE",
        "no test against MAE: other settings",
    ]


def test_the_words_of_warnings_are_those_of_the_other_formats(visit, example):
    page = visit().open(example)
    assert page.evaluate("[...WARNINGS]") == [list(entry) for entry in WARNINGS.items()]
    reports = [
        {"report_hash": "h", "exact": 3, "similar": 0, "groups": 2},
        {"report_hash": "h", "exact": 0, "similar": 1, "groups": 0},
    ]
    words = page.evaluate("reports => reports.map(leakageWords)", reports)
    assert words == ["3 identical, 2 shared patients", "1 near-duplicate"]
    counts = ({key: report[key] for key in LEAKAGE} for report in reports)
    assert words == [Conditions({}, **numbers).leakage for numbers in counts]
    assert page.evaluate("leakageWords(null)") == ""


def test_the_dialog_of_a_run_names_its_leakage_and_skipped_steps(visit, example):
    name = "journal/mae/arcade_v/seed0"
    report = {"report_hash": "h", "exact": 3, "similar": 0, "groups": 0}
    run = {**example["runs"][name], "leakage": report, "skipped_steps": 7}
    page = visit().open({**example, "runs": {**example["runs"], name: run}})
    cell(page, "MAE", 0).hover()
    page.locator("#popover button").click()
    facts = page.locator("#details .facts").last.inner_text()
    assert "Known leakage\n3 identical\nSkipped steps\n7" in facts
    page.locator("#details select").select_option("journal/mae/arcade_v/seed1")
    assert "Known leakage" not in page.locator("#details .facts").last.inner_text()


def test_a_test_names_the_leakage_of_its_reference(visit, example):
    data = with_cells(example, leakage="3 identical")
    leaked, other = data["boards"][0]["rows"][0], by_id(data["boards"][0])["mae"]
    assert leaked["id"] != "mae"
    page = visit().open(data, f"ref={leaked['id']}")
    for column, named in ((1, True), (0, False)):
        cell(page, other["title"], column).hover()
        text = page.locator("#popover").inner_text()
        assert f"Against {leaked['title']}" in text
        assert ("Known leakage of the reference\n3 identical" in text) is named


def test_an_undefined_test_says_in_words_why_it_has_no_interval(visit, example):
    page = visit().open(example)
    test = {"verdict": "single pair", "difference": -3.09, "ci_low": None, "ci_high": None}
    test |= {"n": 1, "p": None, "p_holm": None}
    board = "views = { label: () => 'MAE', columns: [{ digits: 2 }], correction: {} }"
    words = page.evaluate(
        f"test => {{ const {board}; const facts = testFacts(test, views, 0, {{ cells: [null] }});"
        "return facts.map((node) => node.textContent).join(' '); }",
        test,
    )
    assert "· no test: single pair" in words
    assert "−3.09 (no interval: single pair)" in words
    assert "—" not in words


@pytest.mark.parametrize("wanted", ["evaluations", "<b>"])
def test_a_board_that_is_not_there_is_named(visit, example, wanted):
    page = visit().open(example, f"board={wanted}")
    line = page.get_by_text(f"There is no board “{wanted}”: this is Segmentation.")
    assert line.is_visible()
    assert page.locator("#panel-segmentation").is_visible()
    page.locator("#tab-detection").click()
    assert page.get_by_text("There is no board").count() == 0

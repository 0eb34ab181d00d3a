"""What a reader takes away: the shown table, a link, a citation, papers and code."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest

from benchmark.method_cards import read_method_cards
from benchmark.method_costs import MethodCosts
from leaderboard.build import build_leaderboard
from leaderboard.data import board_data
from leaderboard.published import read_tables
from leaderboard.statistics import rounded
from leaderboard.tables.latex_text import CHARACTERS
from leaderboard.tables.markdown import to_markdown

pytestmark = pytest.mark.page

TABLE = "#segmentation-table"
HOSTILE = 'A|B <b>_x_ & "q" 50 % $e$ {y}'


@pytest.fixture(scope="module")
def leaderboard(make_run):
    """Ties, an incomplete row, leakage, and published rows beside the measured ones."""
    scores = {
        "mae": [79.2, 79.4, 79.6, 79.3, 79.5],
        "vasomim": [80.1, 80.2, 80.4, 80.3, 80.0],
        "simmim": [79.8, 80.3, 80.2, 80.5, 80.1],
    }
    leak = {"report_hash": "h", "exact": 3, "similar": 0, "groups": 0}
    records = [
        make_run(
            *(method, dataset, seed),
            title=HOSTILE if method == "simmim" else method,
            leakage=leak if (method, dataset) == ("mae", "xcav") else None,
            dsc=value,
            cldice=value - 3.125,
        )
        for method, values in scores.items()
        for dataset in ("arcade_v", "xcav")
        for seed, value in enumerate(values)
    ]
    records += [make_run("frangi", "xcav", 0, dsc=41.125)]
    cards = {card.method: card for card in read_method_cards()}
    return build_leaderboard(records, "mae", "journal", published=read_tables(), cards=cards)


def copied(page: Any, kind: str) -> str:
    page.locator(f"{TABLE} [name=format]").select_option(kind)
    page.get_by_role("button", name="Copy table").click()
    page.get_by_role("button", name="Copied").wait_for()
    return page.evaluate("navigator.clipboard.readText()")


def open_board(visit: Any, data: dict[str, Any], view: str = "") -> Any:
    return visit(permissions=["clipboard-read", "clipboard-write"]).open(data, view)


def test_the_table_is_copied_as_the_markdown_file_has_it(visit, leaderboard):
    page = open_board(visit, board_data(leaderboard), "ranks=1")
    lines = copied(page, "md").splitlines()
    section = to_markdown(leaderboard).split("## Segmentation\n\n")[1]
    printed = section.split("\n\n")[0].splitlines()
    assert lines[: len(printed)] == printed
    assert lines[len(printed)] == ""
    notes = "\n".join(lines[len(printed) :])
    assert "protocol journal, newest record 2025-01-02" in notes
    for note in ("[k] is the rank", "† marks", "‡ Known leakage", "Bold is the best"):
        assert f"\n- {note}" in notes
    # The tests are no part of this table, nor of the copy.
    assert "Reference of the tests" not in notes
    assert re.search(r"^\| mae \|.* \d\.\d\d ± \d\.\d\d‡ \|", "\n".join(lines), re.MULTILINE)


def test_costs_and_other_settings_are_copied_as_the_markdown_file_has_them(visit, make_run):
    records = [
        make_run(method, "xcav", seed, dsc=70.0 + seed**2 + (method == "mae"), config=config)
        for method, config in (("mae", {"epochs": 1}), ("vasomim", {"epochs": 2}))
        for seed in range(3)
    ]
    costs = {"mae": MethodCosts(*6 * [85_798_656]), "vasomim": MethodCosts(network=85_798_656)}
    board = build_leaderboard(records, "mae", "journal", costs=costs)
    lines = copied(open_board(visit, board_data(board), "ranks=1"), "md").splitlines()
    printed = to_markdown(board).split("## Segmentation\n\n")[1].split("\n\n")[0].splitlines()
    assert "Parameters, M" in printed[0]
    assert " — |" in printed[-1] + printed[-2]
    assert lines[: len(printed)] == printed
    assert any(line.startswith("- Rows differ in settings") for line in lines)


def test_only_what_is_shown_is_copied(visit, leaderboard):
    view = "origin=measured&hide=xcav,family,rank&q=a&sort=title"
    page = open_board(visit, board_data(leaderboard), view)
    lines = copied(page, "md").splitlines()
    assert lines[0] == (
        "| Method | Pre-training | Source | n | ARCADE-V DSC ↑ | ARCADE-V clDice ↑ |"
    )
    names = page.locator(f"{TABLE} tbody tr:visible .name").all_inner_texts()
    assert len(names) == 4
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[3:6]] == names[1:]
    assert not any("[1]" in line for line in lines)
    assert f"4 of {len(leaderboard.boards[0].rows)} rows, 2 of " in lines[7]


def test_the_table_is_copied_as_latex(visit, leaderboard):
    page = open_board(visit, board_data(leaderboard), "ranks=1&origin=measured&hide=pretraining")
    lines = copied(page, "tex").splitlines()
    rows = [line for line in lines if line.endswith(r"\\")]
    assert lines[0] == r"% Needs \usepackage{booktabs}."
    assert [line for line in lines if line.startswith("\\")][:3] == [
        *(r"\begin{tabular}{@{}lllrrrrrr@{}}", r"\toprule", r"\midrule")
    ]
    assert r"ARCADE-V DSC $\uparrow$ &" in rows[0]
    # Nothing that LaTeX would read as a command or a comment.
    name = r"A\textbar{}B \textless{}b\textgreater{}\_x\_ \& \char34{}q\char34{} 50 \% \$e\$ \{y\}"
    hostile = next(row for row in rows if row.startswith(name))
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {8}
    assert r" & \underline{80.18 $\pm$ 0.26} [2]$^\dagger$ & " in hostile
    leaked = next(row for row in rows if row.startswith("mae "))
    assert r"$^\ddagger$" in leaked
    grid = {"texts": 1, "header": ["γ"], "columns": []}
    grid["rows"] = [{"words": [name], "scores": []} for name in ("[a]", " [b]", "*")]
    text = page.evaluate("([grid, marks]) => asLatex(grid, [], marks)", [grid, CHARACTERS])
    assert [line for line in text.splitlines() if line.endswith(r"\\")] == [
        *(r"$\gamma$ \\", r"{}[a] \\", r"{} [b] \\", r"{}* \\")
    ]


def test_the_table_is_copied_and_downloaded_as_csv(visit, leaderboard, tmp_path):
    data = board_data(leaderboard)
    page = open_board(visit, data, "origin=measured")
    text = copied(page, "csv")
    lines = list(csv.DictReader(io.StringIO(text)))
    board = data["boards"][0]
    titles = page.locator(f"{TABLE} tbody tr:visible .name").all_inner_texts()
    assert [line["Method"] for line in lines] == titles
    measured = {row["title"]: row for row in board["rows"] if row["origin"] == "measured"}
    for line in lines:
        for column, cell in zip(board["columns"], measured[line["Method"]]["cells"]):
            head = f"{column['dataset_title']} {column['label']} ↑"
            mean, std = line[head], line[f"{head} std"]
            assert mean == ("" if cell is None else rounded(cell["mean"], 2))
            assert std == ("" if cell is None or cell["std"] is None else rounded(cell["std"], 2))
    signs = {line["Method"]: line["XCAV DSC ↑ signs"] for line in lines}
    assert signs["mae"] == "‡"
    with page.expect_download() as download:
        page.get_by_role("button", name="Download table").click()
    assert download.value.suggested_filename == "segmentation.csv"
    path = tmp_path / "table.csv"
    download.value.save_as(path)
    assert path.read_text(encoding="utf-8") == text


def test_cells_of_a_csv_are_no_formulas(visit, example):
    page = visit().open(example)
    cells = ["=1+1", "-x", "@a", 'say "a", b', "plain"]
    assert page.evaluate("cells => cells.map((text) => csvCell(text))", cells) == [
        *("'=1+1", "'-x", "'@a", '"say ""a"", b"', "plain")
    ]
    assert page.evaluate("csvCell('-0.12', true)") == "-0.12"


def test_the_link_shows_the_same_view(visit, example):
    page = open_board(visit, example, "pin=dino")
    page.locator(f"{TABLE} [name=q]").fill("mim")
    page.get_by_role("button", name="Copy link to this view").click()
    page.get_by_role("button", name="Copied").wait_for()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link.endswith("#q=mim&pin=dino")


def test_without_a_clipboard_the_text_is_shown_to_be_copied(visit, example):
    page = visit().open(example)
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject('no'); }")
    page.get_by_role("button", name="Copy table").click()
    shown = page.get_by_label("Text to copy")
    shown.wait_for()
    assert shown.inner_text().startswith("| Method | Family | Pre-training | Source | n |")
    assert page.evaluate("getSelection().toString()").startswith("| Method |")


def test_methods_link_to_paper_and_code_and_data_to_their_page(visit, example):
    page = visit().open(example)
    section = page.locator("#segmentation-sources")
    mae = section.locator("tr", has=page.locator("th", has_text=re.compile("^MAE$")))
    assert [link.get_attribute("href") for link in mae.locator("a").all()] == [
        *("https://arxiv.org/abs/2111.06377", "https://github.com/facebookresearch/mae")
    ]
    lvm_med = section.locator("tr", has=page.locator("th", has_text="LVM-Med"))
    assert lvm_med.locator("td").last.inner_text() == "CC BY-NC-ND 2.0"
    arcade = section.locator("tr", has=page.locator("th", has_text="ARCADE-V"))
    assert arcade.locator("td").all_inner_texts() == [
        *("https://zenodo.org/records/10390295", "CC0 1.0, as a mirror declares")
    ]
    page.locator(f"{TABLE} tbody th .name", has_text=re.compile("^DINOv3$")).click()
    details = page.locator("#details")
    hrefs = [link.get_attribute("href") for link in details.locator("a").all()]
    assert hrefs == [
        *("https://arxiv.org/abs/2508.10104", "https://github.com/facebookresearch/dinov3")
    ]
    assert "DINOv3 License" in details.inner_text()


def test_the_board_can_be_cited_and_says_how_new_it_is(visit, example):
    page = open_board(visit, example)
    newest = max(run["finished"] for run in example["runs"].values())[:10]
    assert f"Newest record\n{newest}" in page.locator("#head").inner_text()
    page.get_by_role("button", name="Copy BibTeX").click()
    page.get_by_role("button", name="Copied").wait_for()
    text = page.evaluate("navigator.clipboard.readText()")
    assert text.splitlines() == example["citation"]
    readme = Path(__file__).parents[3].joinpath("README.md").read_text(encoding="utf-8")
    assert text.split("\n\n")[-1].strip() in readme

import re

import pytest

from leaderboard.build import published_leaderboard
from leaderboard.published import read_tables
from leaderboard.tables.grids import Entry, Grid, sections
from leaderboard.tables.notes import legend

#: Start of a meaning → where its sign stands: in the cells, behind them or in the headers.
SIGNS = {
    "bold": lambda grid, text: any(e.place == 1 for row in grid.rows for e in row),
    "underlined": lambda grid, text: any(e.place == 2 for row in grid.rows for e in row),
    "[k]": lambda grid, text: re.search(r" \[\d+\]", text),
    "†": lambda grid, text: "†" in text,
    "‡": lambda grid, text: "‡" in text,
    "§": lambda grid, text: "§" in text,
    "±": lambda grid, text: "±" in text,
    "↑": lambda grid, text: "↑" in " ".join(grid.header),
    "↓": lambda grid, text: "↓" in " ".join(grid.header),
    "[a, b]": lambda grid, text: re.search(r"\[[^]]*, ", text),
    "—": lambda grid, text: "—" in text.split("\n"),
    "empty": lambda grid, text: "" in text.split("\n"),
    "n:": lambda grid, text: "n" in grid.header,
    "p (Holm)": lambda grid, text: "p (Holm)" in grid.header,
}


def check(grid):
    words = legend(grid)
    text = "\n".join(entry.text + entry.suffix for row in grid.rows for entry in row)
    for sign, is_used in SIGNS.items():
        assert any(w.startswith(sign) for w in words) == bool(is_used(grid, text)), sign
    assert len(words) == len(set(words))


def test_every_sign_is_explained_and_no_other(build, records, make_evaluations):
    for leaderboard in (
        build(records),
        build(make_evaluations()),
        published_leaderboard(read_tables()),
    ):
        for section in sections(leaderboard):
            for grid in section.grids:
                check(grid)


@pytest.mark.parametrize("mark", ["‡", "§", "†"])
def test_marks_behind_a_score(mark):
    with_mark = Grid("", ("Method", "DSC"), 1, ((Entry("A"), Entry("1.0", 0, f" [1]{mark}")),))
    check(with_mark)
    assert [mark in word for word in legend(with_mark)].count(True) == 1


def test_the_correction_of_the_verdicts_is_named(build, records):
    tests = {
        correction: sections(build(records, correction=correction))[0].grids[1]
        for correction in ("holm", "bh", "none")
    }
    assert "better, worse: p (Holm) < 0.05" in legend(tests["holm"])
    assert "better, worse: p (BH) < 0.05" in legend(tests["bh"])
    assert "better, worse: p < 0.05" in legend(tests["none"])
    assert "n: number of common seeds" in legend(tests["none"])


def test_the_average_rank_of_marked_scores_is_marked(build, make_run):
    leak = {"report_hash": "h", "exact": 3, "similar": 0, "groups": 0}
    records = [
        make_run(method, dataset, seed, dsc=70.0 + seed, leakage=leak if of_both else None)
        for method in ("mae", "vasomim")
        for dataset in ("arcade_v", "xcav")
        for seed in range(2)
        for of_both in [(method, dataset) == ("vasomim", "xcav")]
    ]
    grid = sections(build(records))[0].grids[0]
    place = grid.header.index("Average rank")
    assert {row[0].text: row[place].suffix for row in grid.rows} == {"MAE": "", "VasoMIM": "‡"}

import re

import pytest

from benchmark.method_costs import MethodCosts
from leaderboard.build import published_leaderboard
from leaderboard.published import read_tables
from leaderboard.tables.latex import to_latex


def tables(text):
    """Name → LaTeX of every table."""
    return dict(re.findall(r"\\boardselect\{(.+?)\}\\ifboard\n(.*?)\n\\fi", text, re.DOTALL))


@pytest.fixture(scope="module")
def published():
    return published_leaderboard(read_tables())


def test_a_table_per_board_with_the_best_in_bold_and_the_second_underlined(build, records):
    found = tables(to_latex(build(records)))
    names = ["segmentation", "segmentation-1", "segmentation-2", "provenance", "notes"]
    assert list(found) == names
    scores, tests, overall, *_ = found.values()
    # What follows a value is a column of its own, so that the decimals stay below each other.
    assert (
        r"{}VasoMIM & masked image modelling & XA-170K & 5 & 1.33 $\pm$ 0.58 & "
        r"\textbf{80.20 $\pm$ 0.16} & [1] & \underline{80.80 $\pm$ 0.16} & [2]$^\dagger$ & "
        r"\textbf{86.00 $\pm$ 1.58} & [1] \\"
    ) in scores
    assert r"\multicolumn{4}{c}{ARCADE-V} & \multicolumn{2}{c}{XCAV} \\" in scores
    assert r"\cmidrule(lr){6-9}\cmidrule(lr){10-11}" in scores
    assert r"\boardbegin{tab:segmentation}{Leaderboard. Segmentation. Protocol: jo" in scores
    assert "Paired t-test against MAE" in tests
    assert "p (Holm)" in tests
    assert "Overall paired t-test over datasets against MAE" in overall


def test_every_line_has_the_columns_of_its_table(published):
    """What a compiler would complain about: cells, braces, dollars."""
    text = to_latex(published, 122)
    assert text.isascii()
    found = [body for name, body in tables(text).items() if name != "notes"]
    assert len(found) > 16
    parts = [part for body in found for part in re.split(r"\\board(?:new)?part", body)[1:]]
    assert len(parts) > len(found)
    for part in parts:
        width = int(re.match(r"\{.*?\}\{(\d+)\}\{%\n", part)[1])
        lines = [line for line in part.splitlines() if re.search(r"\\\\\*?$", line)]
        assert len(lines) > 2
        for line in lines:
            spans = [int(n) for n in re.findall(r"\\multicolumn\{(\d+)\}", line)]
            cells = len(re.split(r"(?<!\\)&", line))
            assert cells + sum(spans) - len(spans) == width
            assert line.count("{") == line.count("}")
            assert len(re.findall(r"(?<!\\)\$", line)) % 2 == 0
        assert part.count(r"\toprule") == part.count(r"\midrule") == 1


def test_wide_tables_are_printed_in_parts_that_repeat_the_method(published):
    rows = [row.title for row in published.boards[0].rows]
    body = tables(to_latex(published))["journal-I"]
    first, second = re.split(r"\\board(?:new)?part", body)[1:]
    for part in (first, second):
        assert re.findall(r"^\{\}([^&]+?) &", part, re.MULTILINE)[-len(rows) :] == rows
    assert "ARCADE-V" in first
    assert "ARCADE-VS" in second
    assert "Pre-training" not in second
    # Without a limit, one part.
    assert (
        len(re.findall(r"\\board(?:new)?part", tables(to_latex(published, 500))["journal-I"])) == 1
    )


def test_long_tables_have_page_breaks(build, make_run):
    records = [
        make_run(f"m{method:03d}", "xcav", seed, dsc=60.0 + method / 10 + seed**2 / 9)
        for method in range(200)
        for seed in range(2)
    ]
    body = tables(to_latex(build(records, reference="m000")))["segmentation"]
    floats = body.split("\\boardbreak\n")
    counts = [len(re.findall(r"^\{\}m\d", text, re.MULTILINE)) for text in floats]
    assert sum(counts) == 200
    assert len(counts) > 2
    # A page of IEEE has 696 pt: less a caption, lines of 9.6 pt.
    assert max(counts) < 65


def test_costs_are_a_table(build, records):
    leaderboard = build(records, costs={"mae": MethodCosts(network=85_798_656)})
    costs = tables(to_latex(leaderboard))["costs"]
    assert r"{}MAE & mae & 85.80 \\" in costs


def test_notes_are_those_of_the_markdown(build, records):
    notes = tables(to_latex(build(records, problems=["x_y.json: broken"])))["notes"]
    assert r"\emph{Segmentation}: Size of the family: ARCADE-V 4, XCAV 1." in notes
    assert r"Skipped: x\_y.json: broken" in notes
    assert r"Better or worse means p (Holm) \textless{} 0.05" in notes


def test_names_cannot_break_out_of_their_cell(build, make_run):
    title = r"[x] a & b \\ \input{c} % d"
    text = to_latex(build([make_run("mae", "arcade_v", 0, title=title, dsc=79.0)]))
    # Behind {}, brackets are no option of the line break before them.
    name = r"{}[x] a \& b \textbackslash{}\textbackslash{} \textbackslash{}input\{c\} \% d &"
    assert name in text


@pytest.mark.parametrize("first", ["[x]", "*"])
def test_a_line_of_a_cell_is_no_option_of_the_break_before_it(build, make_run, first):
    title = f"{'a' * 60} {first}{'b' * 60}"
    text = to_latex(build([make_run("mae", "arcade_v", 0, title=title, dsc=79.0)]), 80)
    assert rf"\\{{}}{first}bbb" in text
    assert not re.search(r"\\\\[\[*]", text.split("\n{}")[1])

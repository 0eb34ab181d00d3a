import re

import pytest

from leaderboard.build import published_leaderboard
from leaderboard.published import read_tables
from leaderboard.tables.latex import escape, to_latex


def tables(text):
    return re.findall(r"\\begin\{table\*\}.*?\\end\{table\*\}", text, re.DOTALL)


def test_a_table_per_board_with_the_best_in_bold_and_the_second_underlined(build, records):
    scores, tests, overall = tables(to_latex(build(records)))
    assert (
        r"{}VasoMIM & masked image modelling & XA-170K & 5 & 1.33 $\pm$ 0.58 & "
        r"\textbf{80.20 $\pm$ 0.16} [1] & \underline{80.80 $\pm$ 0.16} [2]$^\dagger$ & "
        r"\textbf{86.00 $\pm$ 1.58} [1] \\"
    ) in scores
    assert r"\multicolumn{2}{c}{ARCADE-V} & \multicolumn{1}{c}{XCAV} \\" in scores
    assert r"\cmidrule(lr){6-7}\cmidrule(lr){8-8}" in scores
    assert r"\caption{Leaderboard. Segmentation. Protocol: journal" in scores
    assert "Paired t-test against MAE" in tests
    assert "p (Holm)" in tests
    assert "Overall paired t-test over datasets against MAE" in overall
    labels = re.findall(r"\\label\{(.+?)\}", scores + tests + overall)
    assert labels == ["tab:segmentation", "tab:segmentation-1", "tab:segmentation-2"]


def test_every_line_has_the_columns_of_its_table():
    """What a compiler would complain about: cells, braces, dollars, signs without a meaning."""
    found = tables(to_latex(published_leaderboard(read_tables())))
    assert len(found) > 16
    for table in found:
        width = len(re.search(r"\\begin\{tabular\}\{(\w+)\}", table)[1])
        body = table[table.index(r"\toprule") : table.index(r"\bottomrule")]
        lines = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len(lines) > 2
        for line in lines:
            spans = [int(n) for n in re.findall(r"\\multicolumn\{(\d+)\}", line)]
            cells = len(re.split(r"(?<!\\)&", line))
            assert cells + sum(spans) - len(spans) == width
            assert line.count("{") == line.count("}")
            assert len(re.findall(r"(?<!\\)\$", line)) % 2 == 0
        assert table.count(r"\toprule") == table.count(r"\midrule") == 1
        assert set(re.findall(r"[^\x00-\x7f]", table)) == set()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("arcade_v & 5 % #1 $x$ {y}", r"arcade\_v \& 5 \% \#1 \$x\$ \{y\}"),
        ("a\\b^c~d", r"a\textbackslash{}b\textasciicircum{}c\textasciitilde{}d"),
        ("<script>|", r"\textless{}script\textgreater{}\textbar{}"),
        ("γ = 0.5 → 1 ± 2", r"$\gamma$ = 0.5 $\rightarrow$ 1 $\pm$ 2"),
        ("two\nlines ", r"two\textbackslash{}nlines"),
        ("\x1b[31m\u202ered", r"\textbackslash{}x1b[31m\textbackslash{}u202ered"),
    ],
)
def test_special_characters_stay_text(text, expected):
    assert escape(text) == expected


def test_names_cannot_break_out_of_their_cell(build, make_run):
    title = r"[x] a & b \\ \input{c} % d"
    text = to_latex(build([make_run("mae", "arcade_v", 0, title=title, dsc=79.0)]))
    # Behind {}, brackets are no option of the line break before them.
    name = r"{}[x] a \& b \textbackslash{}\textbackslash{} \textbackslash{}input\{c\} \% d &"
    assert name in text

import pytest

from leaderboard.tables.latex_text import escape, lines_within, number, text_width


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("arcade_v & 5 % #1 $x$ {y}", r"arcade\_v \& 5 \% \#1 \$x\$ \{y\}"),
        ("a\\b^c~d", r"a\textbackslash{}b\textasciicircum{}c\textasciitilde{}d"),
        ("<script>|", r"\textless{}script\textgreater{}\textbar{}"),
        ("γ = 0.5 → 1 ± 2", r"$\gamma$ = 0.5 $\rightarrow$ 1 $\pm$ 2"),
        ("two\nlines ", r"two\textbackslash{}nlines"),
        ("\x1b[31m\u202ered", r"\textbackslash{}x1b[31m\textbackslash{}u202ered"),
        ("a--b ''c'' ,,", "a-{}-b '{}'c'{}' ,{},"),
    ],
)
def test_special_characters_stay_text(text, expected):
    assert escape(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Étude Łódź Ø", r"\'{E}tude \L{}\'{o}d\'{z} \O{}"),
        ("e\u0301", r"\'{e}"),
        ("Ω Λ", r"$\Omega$ $\Lambda$"),
        ("x² CO₂", r"x\textsuperscript{2} CO\textsubscript{2}"),
        ("北", r"\boardchar{21271}{U+5317}"),
        ("Щи", r"\boardchar{1065}{Shch}\boardchar{1080}{i}"),
        ("한か", r"\boardchar{54620}{han}\boardchar{12363}{ka}"),
        ("ế ½ ﬁ", r"\boardchar{7871}{e} \boardchar{189}{1/2} \boardchar{64257}{fi}"),
        ("😀", r"\boardchar{128512}{U+1F600}"),
        ("«", r"\boardchar{171}{\textless{}\textless{}}"),
    ],
)
def test_other_scripts_have_a_fallback_in_ascii(text, expected):
    assert escape(text) == expected


def test_numbers_have_minus_signs_and_powers():
    assert number("-0.10 … +0.20") == r"$-$0.10 \dots{} +0.20"
    assert number("-3.00 (-1.5, p = 9.3e-09)") == r"$-$3.00 ($-$1.5, p = 9.3$\cdot10^{-9}$)"
    assert number("2.0–2.4") == "2.0--2.4"
    assert number("2026-01-02") == "2026-01-02"


def test_lines_break_at_spaces_and_inside_words_that_are_too_long():
    assert lines_within("one two", 100) == ["one two"]
    assert lines_within("one two", text_width("one t")) == ["one", "two"]
    lines = lines_within("a " + "x" * 50, 5.0)
    assert "".join(lines).replace("a", "") == "x" * 50
    assert all(text_width(line) <= 5.0 for line in lines)
    assert lines_within("", 5.0) == [""]

import pytest

from leaderboard.build import published_leaderboard
from leaderboard.published import read_tables
from leaderboard.statistics import difference_text, p_number, rounded
from leaderboard.tables.markdown import escape, to_markdown


def test_scores_marks_ranks_and_tiers(build, records):
    text = to_markdown(build(records))
    assert "Protocol: journal · reference: MAE (mae)" in text
    row = next(line for line in text.splitlines() if line.startswith("| VasoMIM | masked"))
    assert row == (
        "| VasoMIM | masked image modelling | XA-170K | 5 | 1.33 ± 0.58 "
        "| **80.20 ± 0.16** [1] | <u>80.80 ± 0.16</u> [2]† | **86.00 ± 1.58** [1] |"
    )
    # A deterministic method: no spread, and it says so.
    assert "41.30 ± 0.00 [3]" in text
    assert "† marks what is not separable from the best of its column" in text


def test_tests_name_their_family_and_n(build, records):
    text = to_markdown(build(records))
    assert "### Paired t-test against MAE" in text
    assert "Size of the family: ARCADE-V 4, XCAV 1." in text
    assert "| VasoMIM | XCAV | DSC | 5 | 0.00 | — | — | — | identical |" in text
    assert "| VasoMIM | ARCADE-V | DSC | 5 | +0.80 |" in text


@pytest.mark.parametrize(
    ("correction", "head", "note"),
    [
        ("holm", "| p | p (Holm) | Verdict |", "Better or worse means p (Holm) &lt; 0.05"),
        ("bh", "| p | p (BH) | Verdict |", "it bounds the share of false findings"),
        ("none", "| p | Verdict |", "p is not corrected"),
    ],
)
def test_the_correction_is_printed(build, records, correction, head, note):
    text = to_markdown(build(records, correction=correction))
    assert head in text
    assert note in text


def test_an_incomplete_row_has_empty_cells(build, records, make_run):
    text = to_markdown(build([*records, make_run("simmim", "xcav", 0, dsc=99.0)]))
    assert "| SimMIM | masked image modelling | XA-170K | 1 |  |  |  | **99.00** |" in text
    assert "Missing for SimMIM: XCAV DSC, seed 1–4." in text
    # Beside the ranks, and in the notes: whom they cover.
    assert "| n | Average rank (3 of 4 rows) | ARCADE-V DSC ↑ |" in text
    assert "Ranks are of the 3 complete rows of 4, among each other; incomplete: SimMIM." in text
    assert "| n | Average rank | ARCADE-V DSC ↑ |" in to_markdown(build(records))


def test_ties_round_half_up_as_on_the_page():
    assert [rounded(value, 2) for value in (0.125, -0.125, 0.375, -0.001)] == [
        *("0.13", "-0.13", "0.38", "0.00")
    ]
    assert [difference_text(value) for value in (0.125, -0.125, -0.004, None)] == [
        *("+0.13", "-0.13", "0.00", "—")
    ]
    assert [p_number(p) for p in (0.125, 0.375, 0.0625, 2**-14, 0.0999999)] == [
        *("0.13", "0.38", "0.063", "6.1e-05", "0.10")
    ]


def test_missing_seeds_are_named(build, records):
    kept = [r for r in records if (r.method, r.dataset, r.seed) != ("mae", "xcav", 2)]
    text = to_markdown(build(kept))
    assert "Missing for MAE: XCAV DSC, seed 2." in text
    assert "| MAE | masked image modelling | XA-170K | 4–5 |" in text


def test_a_reference_without_results(build, records):
    text = to_markdown(build(records, reference="moco"))
    assert "reference: moco (no results, no tests)" in text
    assert "The declared reference moco has no results here, so nothing is tested" in text
    assert "### Paired t-test" not in text
    without = [r for r in records if (r.method, r.dataset) != ("mae", "xcav")]
    assert "Not tested, as MAE has no results: XCAV DSC." in to_markdown(build(without))


def test_measured_rows_have_their_provenance(build, records, make_run):
    records += [
        make_run("simmim", dataset, 0, dsc=70.0, git={"commit": "0123456789abc", "dirty": dirty})
        for dataset, dirty in (("arcade_v", True), ("xcav", False))
    ]
    text = to_markdown(build(records))
    words = "0123456789"[:9]
    assert f"| SimMIM | simmim | {words}, {words} (modified) | 2.11.0 | cpu | — | 2 | 2 |" in text
    assert "## Provenance" not in to_markdown(published_leaderboard(read_tables()))


def test_published_rows_are_marked_with_their_source(build, records):
    text = to_markdown(build(records, published=read_tables()))
    assert "| VasoMIM | masked image modelling | XA-170K | measured | 5 | 1.33" in text
    source = "Huang et al., VasoMIM, arXiv 2602.11536, 2026, table I"
    assert f"| VasoMIM | Medical SSL | XA-170K | {source} | 5 |  | 80.25 ± 0.12 |" in text
    assert "They have no rank, no mark and no test here." in text


def test_the_papers_tables_are_printed_with_citation_and_overall_test():
    text = to_markdown(published_leaderboard(read_tables()))
    assert "| VasoMIM-v1 | Medical SSL | XA-170K | 5 | 2.13 ± 0.35 (2.0–2.4) |" in text
    together = text[text.index("## Segmentation and detection together") :]
    assert (
        "| VasoMIM | 6 | +0.59 | [+0.27, +0.92] | 0.0055 | 0.094 | not separable | 11 | 1.2e-04 |"
        in together
    )
    assert "Source: Huang et al., VasoMIM, AAAI 2026 (arXiv 2508.10794), table S2." in text
    for heading in ("Components", "Guidance schedule, β_0 → β_E", "Segmentor (AAAI)"):
        assert f"\n## {escape(heading)}\n" in text


def test_names_cannot_break_out_of_their_cell(build, make_run):
    records = [make_run("mae", "arcade_v", 0, title="A|B <script>\n# *x*", dsc=79.0)]
    text = to_markdown(build(records, title="T|U", problems=["x|y.json: broken"]))
    assert r"| A\|B &lt;script&gt;\\n# \*x\* | masked image modelling |" in text
    assert "# T\\|U\n" in text
    assert "- Skipped: x\\|y.json: broken" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("arcade_v & 5 %", "arcade_v & 5 %"),
        ("_em_ __b__", "\\_em\\_ \\_\\_b\\_\\_"),
        ("&lt;b> &amp &#60;", "&amp;lt;b&gt; &amp &amp;#60;"),
        ("[a](http://b) [1]", "[a\\](http://b) [1]"),
        ("a\\b `c` ~~d~~ $e$", "a\\\\b \\`c\\` \\~\\~d\\~\\~ \\$e\\$"),
        (" a   b ", "a b"),
        ("a\tb\n", r"a\\tb\\n"),
        ("\x1b[31m\u202ered", r"\\x1b[31m\\u202ered"),
    ],
)
def test_special_characters_stay_text(text, expected):
    assert escape(text) == expected

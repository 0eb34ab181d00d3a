import math
import re
from html.parser import HTMLParser

import pytest

from benchmark.method_costs import MethodCosts
from leaderboard.columns import Column
from leaderboard.compare.content import parts
from leaderboard.compare.markdown import to_markdown
from leaderboard.compare.page import to_html
from leaderboard.compare.side_by_side import Pair, PairedRow, PairedTable, pair_tables
from leaderboard.measured import read_measured
from leaderboard.statistics import Summary


class Outline(HTMLParser):
    """Tags, ids, links and text of a page, and whether every tag is closed."""

    void = ("meta", "link", "br")

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.ids, self.links, self.text = [], set(), [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        given = dict(attrs)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if tag == "a" else []
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)


@pytest.fixture(scope="module")
def document(tables, measured, make_run):
    records = [make_run("analysis-components_none", "xcav", s, dsc=84.0 + s) for s in range(3)]
    here = {"journal": read_measured(records, "journal"), "aaai": measured["aaai"]}
    paired = pair_tables(tables, here, {}, lambda cell: ["configs/leaderboard/journal.py"])
    return parts(paired, {"journal": 3, "aaai": 99})


def test_markdown_says_what_each_cell_is(document):
    text = to_markdown(document)
    table = text.partition("### Table IV: Components")[2].partition("###")[0]
    # Published 84.52 ± 2.12, measured 84, 85, 86: +0.48 / √(2.12² + 1).
    assert "| None | XCAV DSC | 84.52 ± 2.12 | 85.00 ± 1.00 | 3 | +0.48 | +0.20 |" in table
    assert "| None | ARCADE-V DSC | 79.31 ± 0.16 | not run yet (1) |  |  |  |" in table
    assert "--methods analysis-components_none analysis-guidance_random" in table
    assert "Runs: 3 of protocol journal, 99 of protocol aaai." in text
    assert (
        "| Table 1: Segmentation | aaai | Average rank over 6 columns | 12 | +1.00 | +1.00 |"
        in (text)
    )
    assert "√(s_p² + s_m²)" in text.replace("\\", "")


def test_the_page_shows_the_same_and_is_well_formed(document):
    page = to_html(document)
    outline = Outline(page)
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    assert {link.removeprefix("#") for link in outline.links} <= set(outline.ids)
    assert not {"script", "img", "iframe"} & outline.tags
    assert "default-src 'none'" in page
    assert not re.search(r"https?://", page)
    words = " ".join(outline.text)
    for part in document:
        assert part.title in words
        for row in part.grid.rows if part.grid else ():
            assert all(entry.text in words for entry in row)


def test_a_large_difference_is_bold_and_an_assumed_unit_is_marked(tables, make_run):
    records = [make_run("spt", "caxf", s, protocol="aaai", dsc=80.0 + s) for s in range(3)]
    measured = {"aaai": read_measured(records, "aaai")}
    document = parts(pair_tables(tables, measured, {}, lambda cell: ()), {"aaai": 3})
    # 81 - 83.18 in units of √2, since no standard deviation is printed.
    row = "| SPT | CAXF DSC | 83.18 | 81.00 ± 1.00 | 3 | -2.18 |"
    assert f"{row} -1.54\\* |" in to_markdown(document)
    records = [make_run("unet", "caxf", s, dsc=70.0 + s) for s in range(3)]
    measured = {"journal": read_measured(records, "journal")}
    document = parts(pair_tables(tables, measured, {}, lambda cell: ()), {"journal": 3})
    assert "| -11.76 | **-9.41** |" in to_markdown(document)
    assert "<b>-9.41</b>" in to_html(document)


def test_the_summary_has_the_median_of_absolute_units():
    """Units -1, -2 and +4 of √2·1 points each: 2, not -1 (nor the 2.33 of a mean)."""
    column = Column("xcav", "dsc", "as published", True)
    published = Summary(80.0, 1.0, 3)
    rows = tuple(
        PairedRow(
            f"m{units}",
            f"M{units}",
            (Pair(column, published, Summary(80.0 + units * math.sqrt(2), 1.0, 3)),),
        )
        for units in (-1, -2, 4)
    )
    table = PairedTable("t", "T", "journal", "table X", (), (column,), rows, ())
    summary = next(part for part in parts([table], {}) if part.title == "Summary")
    (line,) = summary.grid.rows
    assert [entry.text for entry in line] == [
        *("Table X: T", "journal"),
        *("3", "3", "3", "3", "0", "0", "2.00"),
    ]


def test_a_number_of_another_definition_is_shown_without_a_difference(tables, make_run):
    evil = "dsc/<b>other</b>"
    records = [
        make_run("mae", "xcav", seed, dsc=85.0 + seed, definitions={"dsc": evil})
        for seed in range(3)
    ]
    measured = {"journal": read_measured(records, "journal")}
    document = parts(pair_tables(tables, measured, {}, lambda cell: ()), {"journal": 3})
    text = to_markdown(document)
    assert "| MAE | XCAV DSC | 84.84 ± 1.79 | 86.00 ± 1.00 | 3 | other definition |  |" in text
    summary = next(part for part in document if part.title == "Summary").grid.rows[0]
    # Measured once, but in both none.
    assert [entry.text for entry in summary][3:6] == ["1", "3", "0"]
    page = to_html(document)
    assert "other definition: dsc/&lt;b&gt;other&lt;/b&gt;." in page
    assert "<b>other" not in page + text


def test_published_numbers_have_the_decimals_of_the_paper(tables):
    text = to_markdown(parts(pair_tables(tables, {}, {}, lambda cell: ()), {}))
    table = text.partition("### Table VI: ")[2].partition("###")[0]
    assert "| None | XCAV patches Silhouette | 0.27 |" in table
    assert "| None | XCAV patches Calinski–Harabasz | 139,000 |" in table
    assert "| XCAD patches, test Silhouette | 0.0054 |" in text


def test_nothing_counts_as_measured_before_the_first_run(tables):
    """A column that no paper prints is not missing either: figure 10 has two of twelve numbers."""
    costs = {"vasomim": MethodCosts(total=111_909_241, papers_flops=18_990_505_472)}
    paired = pair_tables(tables, {}, costs, lambda cell: ["configs/leaderboard/ablations.py"])
    document = parts(paired, {"demo": 5})
    assert any("Not compared: 5 records of protocol demo." in text for text in document[0].texts)
    grid = document[1].grid
    rows = {row[0].text: dict(zip(grid.header, (cell.text for cell in row))) for row in grid.rows}
    assert {row["Measured"] for row in rows.values()} == {row["Both"] for row in rows.values()}
    assert {row["Measured"] for row in rows.values()} == {"0"}
    (figure,) = (row for title, row in rows.items() if title.startswith("Figure 10"))
    assert (figure["Published"], figure["Not run yet"]) == ("2", "2")
    (objectives,) = (row for title, row in rows.items() if title.startswith("Table V:"))
    assert objectives["Counted"] == "2"
    assert "| 18.99 (counted) |" in to_markdown(document)


def test_the_summary_says_how_many_seeds_were_measured(tables, make_run):
    records = [make_run("unet", "caxf", s, dsc=70.0) for s in range(3)]
    records += [make_run("dino", "caxf", 0, dsc=80.0)]
    here = {"journal": read_measured(records, "journal")}
    grid = parts(pair_tables(tables, here, {}, lambda cell: ()), {"journal": 4})[1].grid
    row = next(row for row in grid.rows if row[0].text.startswith("Table I:"))
    assert [cell.text for cell in row[3:6]] == ["2", "1–3", "2"]


def test_hostile_texts_are_shown_as_they_are(tables):
    hostile = "</style><script>alert(1)</script> | `x` \u202e **b**"
    document = parts(pair_tables(tables, {}, {}, lambda cell: ()), {}, [hostile], title=hostile)
    page = to_html(document)
    assert "<script" not in page
    assert "\u202e" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert Outline(page).open == []
    text = to_markdown(document)
    assert "<script" not in text
    assert "\u202e" not in text
    assert r"\| \`x\`" in text

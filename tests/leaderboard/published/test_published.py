import re

import pandas as pd
import pytest
from scipy import stats

from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS, read_method_cards
from leaderboard.analyses import ANALYSES, PREFIX, find_analysis
from leaderboard.build import PUBLISHED, published_leaderboard
from leaderboard.comparisons import comparisons, overall
from leaderboard.published import FOLDER, read_tables


@pytest.fixture(scope="module")
def tables():
    return {table.id: table for table in read_tables()}


@pytest.fixture(scope="module")
def leaderboard(tables):
    return published_leaderboard(list(tables.values()))


def frame(name):
    """A table as pandas reads it: titles by columns."""
    long = pd.read_csv(FOLDER / f"{name}.csv")
    return long.pivot(index="title", columns=["dataset", "metric"], values="mean")


@pytest.mark.parametrize(
    ("name", "complete", "columns"), [("journal-I", 23, 8), ("journal-III", 21, 3)]
)
def test_average_ranks_of_the_main_tables_equal_pandas(leaderboard, name, complete, columns):
    """Ties share the better rank; the Frangi filter lacks columns and is not ranked."""
    means = frame(name).dropna()
    assert means.shape == (complete, columns)
    ranks = means.rank(method="min", ascending=False)
    board = next(board for board in leaderboard.boards if board.id == name)
    ranked = {row.title: row.average_rank for row in board.rows if row.average_rank}
    assert set(ranked) == set(means.index)
    for title, average in ranked.items():
        assert average.mean == pytest.approx(ranks.loc[title].mean())
        assert average.std == pytest.approx(ranks.loc[title].std(ddof=1))
    assert [row.title for row in board.rows[:2]] == ["VasoMIM", "VasoMIM-v1"]
    assert {row.title for row in board.rows if not row.complete} <= {"Frangi Filter"}


def test_average_ranks_by_hand(leaderboard):
    """VasoMIM-v1 is second in seven columns of table I and third in clDice on CAXF (DINOv3)."""
    rows = {row.title: row for row in leaderboard.boards[0].rows}
    assert (rows["VasoMIM"].average_rank.mean, rows["VasoMIM"].average_rank.std) == (1, 0)
    assert rows["VasoMIM-v1"].average_rank.mean == (7 * 2 + 3) / 8
    assert rows["VasoMIM-v1"].average_rank.std == pytest.approx(8**-0.5)
    detection = {row.title: row for row in leaderboard.boards[1].rows}
    assert detection["VasoMIM-v1"].average_rank.mean == 2
    # Ten rows are above MAE's mAP50 of 92.30, six above its mAP75 and ten above the mAP of 39.69
    # that it shares with MedDINOv3.
    assert [cell.rank for cell in detection["MAE"].cells] == [11, 7, 11]
    assert detection["MedDINOv3"].cells[2].rank == 11


def test_the_overall_test_of_vasomim_and_its_first_version_equals_scipy(leaderboard):
    """Over eleven metric means, as in the paper: eight of table I, three of table III; and over
    their six datasets.
    """
    parts = [frame(name).loc[["VasoMIM", "VasoMIM-v1"]] for name in ("journal-I", "journal-III")]
    values = pd.concat(parts, axis=1)
    expected = stats.ttest_rel(values.loc["VasoMIM"], values.loc["VasoMIM-v1"])
    board = leaderboard.combined
    tests = {c.row.title: c for c in overall(board, board.reference)}
    columns, test = tests["VasoMIM"].over_columns, tests["VasoMIM"].test
    assert columns.n == 11
    assert columns.p == pytest.approx(expected.pvalue, rel=1e-10)
    assert columns.p < 0.001
    datasets = [column.dataset for column in board.columns]
    means = values.T.groupby(datasets).mean()
    expected = stats.ttest_rel(means["VasoMIM"], means["VasoMIM-v1"])
    assert test.n == 6
    assert test.p == pytest.approx(expected.pvalue, rel=1e-10)
    interval = expected.confidence_interval(0.95)
    assert (test.ci_low, test.ci_high) == pytest.approx(interval, rel=1e-10)
    # Methods of one task only are in no overall test.
    both = set.intersection(*(set(frame(name).index) for name in ("journal-I", "journal-III")))
    assert set(tests) == both - {"VasoMIM-v1"}
    assert not {"UNet", "DETR"} & set(tests)


def test_published_means_are_not_tested_seed_by_seed(leaderboard):
    assert all(not comparisons(board, board.reference) for board in leaderboard.boards)
    cells = [
        cell for board in leaderboard.boards for row in board.rows for cell in row.cells if cell
    ]
    assert len(cells) > 400
    assert {cell.tier for cell in cells} == {None}
    assert {cell.interval for cell in cells} == {None}
    assert {board.origin for board in leaderboard.boards} == {"published"}


def test_every_table_is_cited_and_its_methods_are_known(tables):
    known = {card.method for card in read_method_cards()}
    known |= {PREFIX + path.stem for path in (CONFIGS / "analysis").glob("*.py")}
    figures = {(a.protocol, a.id): a.source for a in ANALYSES}
    others = {"journal-II", "aaai-3", "aaai-S8", *(t.id for t in tables.values() if not t.analysis)}
    for table in tables.values():
        lines = pd.read_csv(FOLDER / f"{table.id}.csv")
        assert not lines.duplicated(["title", "dataset", "metric"]).any(), table.id
        assert re.fullmatch(
            r"Huang et al\., VasoMIM, .*(2602\.11536|2508\.10794).*, .+", table.citation
        )
        assert table.protocol == ("journal" if "2602.11536" in table.citation else "aaai")
        source = figures.get((table.protocol, table.analysis))
        assert table.citation.endswith(f", {source}") or table.id in others
        for row in table.rows if table.id != "journal-II" else ():
            assert row.method in known, row.id
        assert any(row.method == table.reference for row in table.rows)


def test_rows_of_an_analysis_are_its_members_under_the_same_names(tables):
    for table in tables.values():
        analysis = find_analysis(table.protocol, table.analysis)
        titles = {m.method: m.title for m in analysis.members} if analysis else {}
        for row in table.rows:
            assert titles.get(row.method, row.title) == row.title, table.id


def test_numbers_agree_wherever_the_papers_repeat_them(tables):
    """The analyses quote the main tables: one misprint here would show."""
    for main, protocol in (("journal-I", "journal"), ("aaai-1", "aaai")):
        printed = {
            (row.method, column.id): score.summary.mean
            for row in tables[main].rows
            for column, score in tables[main].scores[row.id].items()
        }
        repeated = [
            (table.id, row.method, column.id, score.summary.mean)
            for table in tables.values()
            if table.analysis and table.protocol == protocol
            for row in table.rows
            for column, score in table.scores[row.id].items()
            if (row.method, column.id) in printed
        ]
        assert len(repeated) > 8
        for name, method, column, mean in repeated:
            assert mean == printed[method, column], name


def test_another_reference_is_that_of_every_table(tables):
    leaderboard = published_leaderboard(list(tables.values()), reference="mae")
    board = leaderboard.combined
    assert board.row(board.reference).title == "MAE"
    assert (leaderboard.protocol, leaderboard.reference_title) == (PUBLISHED, "MAE")
    with pytest.raises(InputError, match="moco: no published table has this method"):
        published_leaderboard(list(tables.values()), reference="moco")
    with pytest.raises(InputError, match="at least one table"):
        published_leaderboard([])


def test_costs_and_counts_are_neither_ranked_nor_tested(leaderboard):
    """Beside scores they change no rank; alone they make a board without any."""
    boards = {board.id: board for board in leaderboard.boards}
    for name in ("journal-II", "aaai-S8"):
        board = boards[name]
        assert not any(column.score for column in board.columns)
        assert {row.average_rank for row in board.rows} == {None}
        assert (board.friedman, board.column_pairs) == (None, {})
        cells = [cell for row in board.rows for cell in row.cells if cell]
        assert {(cell.place, cell.rank, cell.tier) for cell in cells} == {(0, None, None)}
    objectives = boards["journal-V"]
    assert [column.id for column in objectives.columns] == [
        *("arcade_v/dsc", "xcav/dsc", "cost/params_m", "cost/gflops")
    ]
    # L_cons is best in both columns of scores, whatever it costs.
    assert objectives.row("published:journal-V:L_cons").average_rank.mean == 1
    assert objectives.friedman.n == 2
    titles = {row.title: row for row in boards["journal-II"].rows}
    assert [cell and cell.summary.mean for cell in titles["Total"].cells] == [None, None, 171478]


def test_what_the_papers_print_differently_is_noted(leaderboard):
    notes = {board.id: " ".join(board.notes) for board in leaderboard.boards}
    assert "CXR-838K" in notes["journal-I"]
    assert "0.08 on the poster" in notes["aaai-1"]
    detection = {row.title: row for row in leaderboard.boards[1].rows}
    for title, printed in (("CheXWorld", "1.00"), ("iBOT", "2.00")):
        row = detection[title]
        ranks = ", ".join(str(cell.rank) for cell in row.cells)
        words = f"{printed} for {title} (ranks {ranks}: {row.average_rank.std:.2f})"
        assert words in notes["journal-III"]
    for name in ("journal-V", "journal-VI", "journal-VII"):
        assert "not legible" in notes[name]


def test_published_rows_beside_measured_ones(build, records, tables):
    leaderboard = build(records, published=list(tables.values()))
    alone = build(records)
    board, plain = leaderboard.boards[0], alone.boards[0]
    own = [row for row in board.rows if not row.context]
    assert (tuple(own), board.pairs) == (plain.rows, plain.pairs)
    context = {row.title: row for row in board.rows if row.context}
    assert len(context) == 24
    assert [cell.summary.mean for cell in context["VasoMIM"].cells] == [80.25, 82.06, 86.09]
    assert context["VasoMIM"].source.endswith("table I")
    with pytest.raises(InputError, match=r"protocol journal has no published tables .*aaai"):
        build(records, published=[t for t in tables.values() if t.protocol == "aaai"])

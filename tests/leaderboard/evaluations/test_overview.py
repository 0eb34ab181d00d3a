"""Ranks over all evaluations, and frozen features against fine-tuning."""

import numpy as np
import pytest
from scipy import stats

from leaderboard.data import board_data
from leaderboard.evaluations.scatter import spearman
from leaderboard.tables.grids import overview_grids
from leaderboard.tables.markdown import to_markdown


@pytest.fixture(scope="module")
def leaderboard(build, make_evaluations):
    return build(make_evaluations())


def test_ranks_are_those_of_the_tables(leaderboard):
    overview = leaderboard.overview
    boards = {board.id: board for board in leaderboard.boards}
    assert [table.board for table in overview.tables] == list(boards)
    assert overview.tables[0].title == "Fine-tuning, segmentation"
    for place, table in enumerate(overview.tables):
        ranks = {row.id: row.average_rank for row in boards[table.board].rows}
        for row in overview.rows:
            assert row.ranks[place] == ranks.get(row.method)
        known = [rank for rank in ranks.values() if rank is not None]
        assert (table.rows, table.columns) == (len(known), known[0].n)
    assert [row.method for row in overview.rows] == ["vasomim", "mae", "simmim", "transunet"]
    linear = [table.board for table in overview.tables].index("linear")
    assert [row.places[linear] for row in overview.rows] == [1, 3, 2, None]
    (note,) = overview.notes
    assert "Frozen features, linear: 4 and 3" in note


def test_an_incomplete_row_has_no_rank(build, make_evaluations):
    records = [r for r in make_evaluations() if (r.method, r.dataset) != ("mae", "xcav-linear")]
    overview = build(records).overview
    linear = [table.board for table in overview.tables].index("linear")
    assert {row.method: row.ranks[linear] is None for row in overview.rows} == {
        **{"vasomim": False, "mae": True, "simmim": False, "transunet": True}
    }
    assert overview.tables[linear].rows == 2


def test_ranks_of_marked_scores_are_marked_and_explained(build, make_evaluations):
    records = [
        r.model_copy(update={"skipped_steps": 3})
        if (r.method, r.dataset) == ("mae", "xcav-linear")
        else r
        for r in make_evaluations()
    ]
    leaderboard = build(records)
    grid = overview_grids(leaderboard)[0]
    found = {
        (row[0].text, head) for row in grid.rows for head, e in zip(grid.header, row) if e.suffix
    }
    table = next(t for t in leaderboard.overview.tables if t.board == "linear")
    assert {(method, head.partition(" (")[0]) for method, head in found} == {("MAE", table.title)}
    data = board_data(leaderboard)
    assert data["runs"]["journal/mae/xcav-linear/seed0"]["skipped_steps"] == 3
    shown = data["overview"]["tables"][0]
    assert sum(text.endswith("§") for row in shown["rows"] for text in row) == 1
    assert shown["notes"][-1] == "§ training steps were skipped, their loss was not finite."


def test_fine_tuning_alone_has_no_overview(build, records):
    shown = build(records)
    assert (shown.overview, shown.scatter) == (None, None)
    assert "Overview" not in to_markdown(shown)


def test_the_scatter_shows_means_over_common_datasets(leaderboard):
    scatter = leaderboard.scatter
    assert (scatter.metric, scatter.datasets, scatter.skipped) == ("DSC", ("XCAV", "DCA1"), ())
    points = {p.method: (p.frozen.mean, p.fine_tuned.mean) for p in scatter.points}
    assert points == {
        "mae": pytest.approx((61.1, 76.1)),
        "vasomim": pytest.approx((64.1, 78.1)),
        "simmim": pytest.approx((62.1, 75.1)),
    }
    assert (scatter.correlation.n, scatter.correlation.rho) == (3, pytest.approx(0.5))
    assert "Spearman's ρ = 0.50, p = 1.0, n = 3 methods (exact" in scatter.notes[1]
    assert scatter.notes[1] in to_markdown(leaderboard)


def test_the_spread_is_over_the_seeds_that_all_datasets_have(build, make_run):
    """The mean over datasets of each seed, then its deviation; without two seeds there is none."""
    scores = {"xcav": (60.0, 64.0, 71.0), "dca1": (50.0, 58.0), "xcav-linear": (40.0,)}
    scores["dca1-linear"] = (30.0, 33.0)
    records = [
        make_run("mae", name, seed, dsc=value)
        for name, values in scores.items()
        for seed, value in enumerate(values)
    ]
    (point,) = build(records).scatter.points
    assert point.fine_tuned.mean == pytest.approx((65 + 54) / 2)
    assert point.fine_tuned.std == pytest.approx(np.std([55.0, 61.0], ddof=1))
    assert (point.fine_tuned.n, point.frozen.n, point.frozen.std) == (2, 1, None)
    assert f"{59.5:.2f} ± {point.fine_tuned.std:.2f}" in to_markdown(build(records))


def test_the_only_row_of_a_table_is_not_its_best(build, make_run):
    records = [
        make_run("mae", name, seed, dsc=60.0) for name in ("xcav", "xcav-linear") for seed in (0, 1)
    ]
    records += [make_run("unet", "xcav", seed, dsc=50.0) for seed in (0, 1)]
    (grid, _) = overview_grids(build(records))
    places = {row[0].text: tuple(entry.place for entry in row[1:]) for row in grid.rows}
    assert sorted(places.values()) == [(1, 0), (2, 0)]


def test_the_most_methods_decide_which_datasets_are_averaged(build, make_run):
    """One more dataset of a single method does not drop all the others."""

    def both(method, *datasets):
        names = [name for base in datasets for name in (base, f"{base}-linear")]
        return [make_run(method, name, 0, dsc=60.0 + len(method)) for name in names]

    records = both("mae", "xcav", "dca1", "caxf")
    records += [r for m in ("dino", "simmim") for r in both(m, "xcav", "dca1")]
    scatter = build(records).scatter
    assert scatter.datasets == ("XCAV", "DCA1")
    assert [p.method for p in scatter.points] == ["mae", "dino", "simmim"]
    fewer = build(records + both("vasomim", "caxf")).scatter
    assert (len(fewer.points), fewer.skipped) == (3, ("VasoMIM",))
    assert "one of these scores is missing: VasoMIM" in fewer.notes[0]


def test_scores_of_different_definitions_are_not_paired(build, make_run):
    records = [make_run("mae", "xcav", 0, dsc=80.0)]
    records += [make_run("mae", "xcav-linear", 0, dsc=60.0, version="v2")]
    assert build(records).scatter is None


@pytest.mark.parametrize("n", [3, 5, 6, 20])
def test_spearman_equals_scipy(n):
    rng = np.random.default_rng(n)
    x = rng.integers(0, 2 * n, n).astype(float)  # with ties
    y = x + rng.normal(0, n / 2, n)
    found = spearman(x.tolist(), y.tolist())
    reference = stats.spearmanr(x, y)
    assert found.rho == pytest.approx(reference.statistic)
    if n <= 8:

        def statistic(order):
            return abs(stats.spearmanr(order, y).statistic)

        exact = stats.permutation_test(
            (x,), statistic, permutation_type="pairings", alternative="greater", n_resamples=np.inf
        )
        assert (found.p, found.exact) == (pytest.approx(exact.pvalue), True)
    else:
        assert (found.p, found.exact) == (pytest.approx(reference.pvalue), False)


def test_spearman_of_equal_orders_is_never_certain():
    """The t approximation would be 0; no permutation of ten values is rarer than 2 / 10!."""
    values = [float(value) for value in range(10)]
    assert spearman(values, values).p == pytest.approx(2 / 3_628_800)
    assert spearman(values[:2], values[:2]).rho is None
    assert spearman([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]).rho is None

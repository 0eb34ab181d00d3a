import math

import pytest

from benchmark.method_costs import MethodCosts, read_costs
from leaderboard.analyses import ANALYSES
from leaderboard.columns import Column
from leaderboard.compare.side_by_side import PAPERS, Pair, pair_tables
from leaderboard.measured import read_measured
from leaderboard.published import COMPARABLE
from leaderboard.statistics import Summary

DSC = Column("arcade_v", "dsc", "as published", True)


def nowhere(cell):
    return ()


def pair(published, measured):
    return Pair(DSC, Summary(*published) if published else None, Summary(*measured))


def test_differences_by_hand():
    """80.00 ± 0.30 published, 80.50 ± 0.40 measured: half a point, and √(0.09 + 0.16) = 0.5."""
    one = pair((80.0, 0.3, 5), (80.5, 0.4, 3))
    assert (one.difference, one.units, one.assumed) == (0.5, pytest.approx(1.0), False)
    # Where one is not known, the other stands for it: 0.5 / (0.25 · √2).
    for two in (
        pair((80.0, 0.25, 5), (80.5, None, 1)),
        pair((80.0, None, 3), (80.5, 0.25, 3)),
    ):
        assert (two.units, two.assumed) == (pytest.approx(math.sqrt(2)), True)
    none = pair((80.0, None, 3), (80.5, None, 1))
    assert (none.difference, none.units, none.assumed) == (0.5, None, False)
    # Without spread there is no unit; without a published number no difference.
    assert pair((41.3, 0.0, 5), (41.3, 0.0, 5)).units is None
    assert pair(None, (80.5, 0.4, 3)).difference is None


def test_published_numbers_as_results_have_no_differences(tables, measured):
    paired = pair_tables(tables, measured, {}, nowhere)
    cells = [cell for table in paired for cell in table.pairs if cell.column.score]
    printed = [cell for cell in cells if cell.published is not None]
    assert len(printed) > 550
    for cell in printed:
        assert cell.difference == pytest.approx(0, abs=1e-8), cell
        if cell.published.std:
            assert cell.measured.std == pytest.approx(cell.published.std)
            assert cell.units == pytest.approx(0, abs=1e-6)


def test_every_table_and_figure_is_there(tables):
    """Each published table and each analysis once, in both papers; nothing measured is needed."""
    paired = pair_tables(tables, {}, {}, nowhere)
    found = [(table.protocol, table.source) for table in paired]
    assert len(set(found)) == len(found)
    declared = {(a.protocol, a.source) for a in ANALYSES}
    printed = {(t.protocol, t.citation.rpartition(", ")[2]) for t in tables}
    assert set(found) == declared | printed
    assert [table.source for table in paired[:2]] == ["table I", "table III"]
    assert [table.protocol for table in paired] == sorted(
        (table.protocol for table in paired), key=list(PAPERS).index
    )


def test_a_table_takes_the_runs_of_its_own_protocol(tables, make_run):
    """`analysis-guidance_random` is a row of table IV and of the conference paper's table 2."""
    records = {
        protocol: [make_run("analysis-guidance_random", "arcade_v", 0, protocol=protocol, dsc=dsc)]
        for protocol, dsc in (("journal", 80.0), ("aaai", 68.0))
    }
    measured = {name: read_measured(own, name) for name, own in records.items()}
    found = {
        (table.protocol, table.source): cell.difference
        for table in pair_tables(tables, measured, {}, nowhere)
        for cell in table.pairs
        if cell.difference is not None
    }
    assert found == {
        **dict.fromkeys(
            [("journal", f"table {n}") for n in ("IV", "VII", "VIII")],
            pytest.approx(80.0 - 79.85),
        ),
        **dict.fromkeys([("aaai", f"table {n}") for n in (2, 4, 5)], pytest.approx(68.0 - 68.45)),
    }


JOURNAL, AAAI = (COMPARABLE[protocol]["silhouette"] for protocol in ("journal", "aaai"))


@pytest.mark.parametrize(
    ("protocol", "source", "dataset", "other"),
    [
        ("journal", "table VI", "xcav-patches", AAAI),
        ("journal", "table VI", "xcav-patches", JOURNAL.replace("/1px", "/8px")),
        ("journal", "table VI", "xcav-patches", JOURNAL.replace("-max40000", "-max300")),
        ("aaai", "table 3", "xcad-patches-test", JOURNAL),
    ],
)
def test_another_projection_or_setting_has_no_difference(
    tables, make_run, protocol, source, dataset, other
):
    def paired(definition):
        run = make_run(
            *("vasomim" if protocol == "journal" else "vasomim_v1", dataset, 0),
            definitions={"silhouette": definition},
            **{"silhouette": 0.5, "calinski_harabasz": 7.0},
            **{"task": "representation", "protocol": protocol},
        )
        measured = {protocol: read_measured([run], protocol)}
        found = pair_tables(tables, measured, {}, nowhere)
        table = next(t for t in found if (t.protocol, t.source) == (protocol, source))
        cells = {c.column.metric: c for c in table.pairs if c.measured}
        notes = [note for note in table.notes if "other definition" in note]
        return cells["silhouette"], cells["calinski_harabasz"], notes

    silhouette, index, notes = paired(COMPARABLE[protocol]["silhouette"])
    assert silhouette.difference == pytest.approx(0.5 - silhouette.published.mean)
    assert notes == []
    silhouette, index, notes = paired(other)
    assert (silhouette.measured.mean, silhouette.difference, silhouette.units) == (0.5, None, None)
    assert index.difference is not None
    (note,) = notes
    assert note.endswith(f"other definition: {other}.")
    assert "Silhouette" in note


def test_a_mixed_configuration_is_noted_where_its_cells_are_shown(tables, make_run):
    def notes(second):
        configs = ({"seed": 0, "epochs": 200}, {"seed": 1, "epochs": second})
        runs = [
            make_run("analysis-components_none", "xcav", seed, dsc=84.0, config=config)
            for seed, config in enumerate(configs)
        ]
        measured = {"journal": read_measured(runs, "journal")}
        return {
            table.source: [note for note in table.notes if note.startswith("Seeds from")]
            for table in pair_tables(tables, measured, {}, nowhere)
        }

    assert not any(notes(200).values())
    found = notes(100)
    note = "Seeds from more than one configuration: analysis-components_none on xcav."
    assert found["table IV"] == [note]
    assert found["table VIII"] == []


def test_what_has_not_run_has_the_command_that_runs_it(tables, make_run):
    """As few commands as possible, and none for what has run."""

    def configs_of(cell):
        protocol, method, dataset = cell
        if protocol != "journal" or not dataset.startswith("xcav"):
            return ()
        return ["main.py", "ablations.py"] if method == "vasomim" else ["ablations.py"]

    run = make_run("analysis-components_none", "xcav", 0, dsc=84.0, cldice=82.0)
    measured = {"journal": read_measured([run], "journal")}
    paired = pair_tables(tables, measured, {}, configs_of)
    table = next(table for table in paired if table.source == "table IV")
    assert table.commands == (
        "tools/run_benchmark.sh ablations.py --methods analysis-guidance_random "
        "analysis-components_guidance vasomim --datasets xcav",
    )
    states = {
        (row.title, cell.column.id): (cell.measured is not None, cell.command)
        for row in table.rows
        for cell in row.pairs
    }
    assert states["None", "xcav/dsc"] == (True, None)
    assert states["Both", "xcav/cldice"] == (False, 0)
    # Published, but of no matrix here.
    assert states["Both", "arcade_v/dsc"] == (False, None)
    assert any("No matrix" in note for note in table.notes)


def test_points_of_a_figure_without_published_numbers_are_cells(tables):
    """Those on the main board have the number of the main table."""
    paired = pair_tables(tables, {}, {}, lambda cell: ["ablations.py"])
    figure = next(table for table in paired if table.source == "figure 10")
    published = {row.title: [cell.published for cell in row.pairs] for row in figure.rows}
    assert len(published) == 6
    assert published["γ = 0.25"] == [None, None]
    assert [one.mean for one in published["γ = 0.5"]] == [80.25, 86.09]
    labels = next(table for table in paired if table.source == "figure 6")
    shares = {cell.column.dataset for row in labels.rows for cell in row.pairs}
    assert shares == {"arcade_v", *(f"arcade_v-{n}pct" for n in (10, 25, 50, 75))}


def test_costs_are_compared_with_what_is_counted_here(tables):
    """The conference paper counts multiply-adds, half of our operations, with its own mask."""
    costs = {"mae": MethodCosts(total=111_655_680, layer_flops=1, papers_flops=18_682_249_216)}
    paired = pair_tables(tables, {}, costs, nowhere)
    table = next(table for table in paired if table.source == "table S8")
    row = next(row for row in table.rows if row.method == "mae")
    values = {cell.column.metric: cell.measured and cell.measured.mean for cell in row.pairs}
    assert values == {
        "params_m": pytest.approx(111.65568),
        "gflops": pytest.approx(9.341124608),
        "seconds_per_epoch": None,
    }
    assert any("docs/costs.md" in note for note in table.notes)


def test_flops_differ_by_what_is_computed_not_by_the_masks(tables):
    """Both papers count with 75 % masked: docs/costs.md explains the 0.17 to 0.19 that are left."""
    tables = pair_tables(tables, {}, read_costs(), nowhere)
    found = {
        (table.source, row.method): cell.difference
        for table in tables
        for row in table.rows
        for cell in row.pairs
        if cell.column.metric == "gflops"
    }
    assert found["table V", "vasomim"] == pytest.approx(18.99 - 19.17, abs=0.005)
    assert found["table S8", "vasomim_v1"] == pytest.approx(9.50 - 9.59, abs=0.005)
    assert found["table S8", "mae"] == pytest.approx(9.34 - 9.43, abs=0.005)
    assert None not in found.values()

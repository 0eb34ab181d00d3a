"""Costs beside the scores of a board, in every format."""

import csv
import io

import pytest

from benchmark.method_costs import MeasuredSpeed, MethodCosts
from leaderboard.data import board_data
from leaderboard.tables.grids import sections
from leaderboard.tables.latex import to_latex
from leaderboard.tables.long_format import to_csv
from leaderboard.tables.markdown import to_markdown


def speed(rate: float, device: str) -> MeasuredSpeed:
    return MeasuredSpeed(rate, 1.0, "", 100.0, "paper", 64, device, 1, "bf16")


COSTS = {
    "mae": MethodCosts(85_798_656, step_flops=19_386_000_000, measured=(speed(812.34, "A100"),)),
    "vasomim": MethodCosts(85_798_656, 111_655_680, measured=(speed(512.0, "H200"),)),
    "simmim": MethodCosts(85_820_000, measured=(speed(617.0, "H200"),)),
}
HEADS = (
    "Parameters, M",
    "Training step, GFLOPs",
    "Pre-training, device-hours",
    "Throughput, images/s",
)
#: Of VasoMIM, MAE and the filter.
EXPECTED = {
    "VasoMIM": ["85.80", "—", "12.50", "512.0"],
    "MAE": ["85.80", "19.39", "—", "—"],
    "Frangi filter": ["—", "—", "—", "—"],
}


def board(build, records, make_run):
    """MAE was measured on another device than the others; VasoMIM's card knows its hours."""
    provenance = {"device_seconds": {"NVIDIA H200": 12.5 * 3600}}
    encoder = {"fingerprint": "f", "weights_sha256": "w", "provenance": provenance}
    records = [
        make_run(r.method, r.dataset, r.seed, encoder=encoder, **means(r))
        if r.method == "vasomim"
        else r
        for r in records
    ]
    records += [make_run("simmim", "xcav", seed, dsc=60.0) for seed in range(5)]
    return build(records, costs=COSTS)


def means(record) -> dict[str, float]:
    return {name: metric.value for name, metric in record.metrics.items()}


def test_every_format_has_the_same_numbers(build, records, make_run):
    leaderboard = board(build, records, make_run)
    grid = sections(leaderboard)[0].grids[0]
    assert grid.header[-4:] == HEADS
    assert grid.spans[-1] == ("Cost", 4)
    texts = {row[0].text: [entry.text for entry in row[-4:]] for row in grid.rows}
    assert {title: texts[title] for title in EXPECTED} == EXPECTED
    markdown, latex = to_markdown(leaderboard).splitlines(), to_latex(leaderboard).splitlines()
    for title, numbers in EXPECTED.items():
        (line, *_) = (line for line in markdown if line.startswith(f"| {title} |"))
        assert [cell.strip() for cell in line.strip("|").split("|")[-4:]] == numbers
        # One of the parts of a wide table.
        parts = (line for line in latex if line.startswith(f"{{}}{title} &"))
        ends = [line.removesuffix("*").removesuffix(r" \\").split(" & ")[-4:] for line in parts]
        assert [number.replace("—", "---") for number in numbers] in ends
    lines = list(csv.DictReader(io.StringIO(to_csv(leaderboard))))
    of_cost = [one for one in lines if one["dataset"] == "cost" and one["row"] == "vasomim"]
    assert [one["metric"] for one in of_cost] == ["network_m", "device_hours", "images_per_s"]
    assert [float(one["mean"]) for one in of_cost] == [85.798656, 12.5, 512.0]
    assert not any(one["place"] or one["rank"] or one["p"] for one in of_cost)
    data = board_data(leaderboard)["boards"][0]
    columns = [f"{column['label']}, {column['unit']}" for column in data["columns"][-4:]]
    assert tuple(columns) == HEADS
    digits = [column["digits"] for column in data["columns"][-4:]]
    for row in data["rows"]:
        shown = [
            "—" if cell is None else f"{cell['mean']:.{digit}f}"
            for cell, digit in zip(row["cells"][-4:], digits)
        ]
        assert shown == EXPECTED.get(row["title"], shown)


def test_the_notes_say_what_was_measured_on_what(build, records, make_run):
    notes = "\n".join(board(build, records, make_run).boards[0].notes)
    assert "Pre-training (device-hours) was measured on NVIDIA H200." in notes
    assert (
        "Throughput (images/s) was measured on H200, scale paper, batch 64, bf16; not shown"
        in notes
    )
    assert notes.endswith("measured on something else: MAE.")


def test_scores_ranks_and_tests_stay_what_they_are(build, records, make_run):
    """A row without a cost is complete, and nothing of the rest knows that there are costs."""
    priced, plain = board(build, records, make_run), build(records)
    with_costs, without = (one.boards[0] for one in (priced, plain))
    assert len(with_costs.pairs) == len(with_costs.columns) == len(without.columns) + 4
    assert all(column.score for column in without.columns)
    for row in without.rows:
        found = with_costs.row(row.id)
        assert found.average_rank == row.average_rank
        assert [c.summary for c in found.cells[:3]] == [c.summary for c in row.cells]
    data = board_data(priced)["boards"][0]
    assert {row["method"]: row["complete"] for row in data["rows"]} == {
        **{"vasomim": True, "mae": True, "frangi": True},
        "simmim": False,
    }
    missing = [note for note in data["notes"] if note.startswith("Not tested")]
    assert missing == []


@pytest.mark.parametrize(("protocol", "shown"), [("journal", HEADS), ("mini", HEADS[2:3])])
def test_costs_of_the_papers_size_are_not_those_of_another_scale(
    build, records, make_run, protocol, shown
):
    """Parameters, FLOPs and rates are those of ViT-B; hours are of the runs themselves."""
    encoder = {"fingerprint": "f", "weights_sha256": "w"}
    encoder["provenance"] = {"device_seconds": {"cpu": 3600}}
    runs = [
        make_run(r.method, r.dataset, r.seed, protocol=protocol, encoder=encoder, **means(r))
        for r in records
    ]
    leaderboard = build(runs, protocol=protocol, costs=COSTS)
    header = sections(leaderboard)[0].grids[0].header
    assert tuple(title for title in header if title in HEADS) == shown

import csv
import io

from benchmark.method_costs import MeasuredSpeed, MethodCosts
from leaderboard.data import board_data
from leaderboard.tables.grids import sections
from leaderboard.tables.long_format import to_csv
from leaderboard.tables.markdown import to_markdown

SPEED = MeasuredSpeed(812.3456, 1.0, "", 20_480.4, "paper", 256, "NVIDIA H200", 16, "bf16")
COSTS = {
    "mae": MethodCosts(
        *(85_798_656, 111_655_680, 111_909_241, 35_126_120_448, 11_676_209_152, 9_434_000_000),
        measured=(SPEED,),
    ),
    "vasomim": MethodCosts(network=85_798_656),
    "analysis-objective_clip": MethodCosts(total=169_430_000),
    "dino": MethodCosts(network=1),
}


def board(build, records, make_run):
    records = [*records, make_run("analysis-objective_clip", "xcav", 0, title="CLIP", dsc=80.0)]
    return build(records, costs=COSTS)


def test_costs_of_the_methods_on_the_board(build, records, make_run):
    """Main boards first; without the filter, whose costs are not known, and without DINO."""
    leaderboard = board(build, records, make_run)
    section = next(section for section in sections(leaderboard) if section.title == "Costs")
    (grid,) = section.grids
    assert grid.header == (
        *("Method", "Id", "Measured on", "Parameters, M"),
        *("Trained parameters, M", "Total parameters, M"),
        *("Network, GFLOPs", "Training step, GFLOPs", "As the papers count, GFLOPs"),
        *("Throughput, images/s", "Step time, × MAE", "Memory, MiB"),
    )
    assert [[entry.text for entry in row] for row in grid.rows] == [
        [
            *("MAE", "mae", "NVIDIA H200, scale paper, batch 256, bf16"),
            *("85.80", "111.66", "111.91", "35.13", "11.68", "9.43", "812.3", "1.00", "20480"),
        ],
        ["VasoMIM", "vasomim", "—", "85.80", *8 * ["—"]],
        ["CLIP", "analysis-objective_clip", "—", "—", "—", "169.43", *6 * ["—"]],
    ]
    assert "docs/costs.md" in to_markdown(leaderboard)


def test_costs_of_programs_are_at_full_precision(build, records, make_run):
    leaderboard = board(build, records, make_run)
    lines = [
        line
        for line in csv.DictReader(io.StringIO(to_csv(leaderboard)))
        if line["board"] == "costs"
    ]
    assert len(lines) == 9 + 1 + 1
    speed = next(line for line in lines if line["metric"] == "images_per_s")
    assert (speed["method"], speed["mean"], speed["unit"]) == ("mae", "812.3456", "images/s")
    assert (speed["origin"], speed["source"]) == ("measured", SPEED.conditions)
    data = board_data(leaderboard)["costs"]
    assert [row["method"] for row in data["rows"]] == ["mae", "vasomim", "analysis-objective_clip"]
    assert data["rows"][0]["values"]["step_gflops"] == 11.676209152
    assert [column["label"] for column in data["columns"]][:2] == [
        "Parameters",
        "Trained parameters",
    ]


def test_a_leaderboard_without_known_costs_says_nothing_of_them(build, records):
    leaderboard = build(records)
    assert "Costs" not in {section.title for section in sections(leaderboard)}
    assert board_data(leaderboard)["costs"]["rows"] == []

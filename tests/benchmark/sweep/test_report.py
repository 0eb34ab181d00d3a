"""What a dry run says: every training and cell, and the tables and figures of the papers."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmark.method_cards import CONFIGS, encoder_config, pretraining_config, run_folder
from benchmark.results import parse_dataset_id
from benchmark.sweep.matrix import Matrix, read_matrix, restrict
from benchmark.sweep.plan import SweepSettings, make_plan
from benchmark.sweep.report import print_plan
from leaderboard.analyses import ANALYSES, Analysis, find_analysis

PUBLISHED = CONFIGS.parent / "leaderboard" / "published"
PAPERS = {"journal": "ablations.py", "aaai": "aaai_ablations.py"}


def resolve(request: dict[str, Any]) -> dict[str, Any]:
    """As `config_facts` in what a plan is made of, without importing the configs."""
    work, cells, trainings = Path(request["work"]), {}, {}
    for method, dataset in request["cells"]:
        trained = encoder_config(method) is None
        folder = run_folder(method, work)
        cells[f"{method}/{dataset}"] = {
            "protocol": request["protocol"] or "journal",
            "task": "segmentation",
            "data": str(work / "downstream" / parse_dataset_id(dataset).dataset),
            "encoder": str(folder) if trained else None,
            "epochs": 100,
            "hashes": {str(seed): f"{method} {dataset} {seed}" for seed in request["seeds"]},
        }
        if trained:
            trainings[str(pretraining_config(method))] = {
                "title": method.upper(),
                "folder": str(folder),
                "config_hash": method,
                "epochs": 800,
                "options": [],
                "packs": ["absent"],
                "frames": None,
                "anatomy": True,
                "weights": {},
            }
    return {"cells": cells, "trainings": trainings}


def dry_run(matrix: Matrix, analyses: Sequence[Analysis]) -> str:
    console = Console(width=200, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    print_plan(make_plan(matrix, resolve, SweepSettings()), console, analyses)
    return console.export_text()


def sections(text: str) -> dict[str, list[list[str]]]:
    """First column's head → the rows below it, each split into its columns."""
    found: dict[str, list[list[str]]] = {}
    rows: list[list[str]] = []
    for line in text.splitlines():
        columns = [part for part in line.strip().split("  ") if part.strip()]
        if len(columns) > 1 and not rows:
            rows = found.setdefault(columns[0].strip(), [])
            rows.append([part.strip() for part in columns])
        elif not line.strip():
            rows = []
        elif columns:
            rows.append([part.strip() for part in columns])
    return found


def matrix_of(protocol: str, tmp_path: Path) -> Matrix:
    matrix = read_matrix(CONFIGS / "leaderboard" / PAPERS[protocol])
    return matrix.model_copy(update={"work": str(tmp_path)})


@pytest.mark.parametrize("protocol", PAPERS)
def test_every_row_and_point_of_the_papers_is_named(tmp_path, protocol):
    """Those that `leaderboard.analyses` declares, and every published number."""
    analyses = [entry for entry in ANALYSES if entry.protocol == protocol]
    found = sections(dry_run(matrix_of(protocol, tmp_path), analyses))
    seeds = {"journal": 5, "aaai": 3}[protocol]
    for analysis in analyses:
        head, _, *rows = found[f"{analysis.source}: {analysis.title}"]
        assert head[1:] == ["method", *analysis.datasets]
        assert [row[:2] for row in rows] == [[m.title, m.method] for m in analysis.members]
    tables = json.loads((PUBLISHED / "tables.json").read_text(encoding="utf-8"))
    numbers = 0
    for table in tables:
        analysis = find_analysis(protocol, table["analysis"])
        if table["protocol"] != protocol or analysis is None:
            continue
        head, _, *rows = found[f"{analysis.source}: {analysis.title}"]
        cells = {(row[0], name): text for row in rows for name, text in zip(head, row)}
        with (PUBLISHED / f"{table['id']}.csv").open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                if row["dataset"] != "cost":  # of no record: configs/costs.csv
                    text = cells[row["title"], row["dataset"]]
                    assert text == f"0/{seeds}", (table["id"], row)
                    numbers += 1
    assert numbers > {"journal": 80, "aaai": 20}[protocol]


def test_every_training_and_cell_is_printed_with_state_and_hours(tmp_path):
    matrix = restrict(
        matrix_of("journal", tmp_path), methods=["mae", "transunet", "analysis-vit_l"]
    )
    found = sections(dry_run(matrix, ANALYSES))
    assert [row[:3] for row in found["training"][2:]] == [
        ["MAE", "configs/mae/pretrain.py", "missing"],
        ["ANALYSIS-VIT_L", "configs/analysis/vit_l.py", "missing"],
    ]
    # 480 frames per second of VasoMIM; the others by their FLOPs relative to it.
    with (CONFIGS / "costs.csv").open(encoding="utf-8", newline="") as stream:
        flops = {row["method"]: row for row in csv.DictReader(stream)}
    step = {name: float(row["step_flops"] or 0) / 28_384_085_504 for name, row in flops.items()}
    hours = [171_478 * 800 / 480 / 3600 * step[name] for name in ("mae", "analysis-vit_l")]
    assert [float(row[3]) for row in found["training"][2:]] == pytest.approx(hours, abs=0.06)
    assert hours[1] > 2 * hours[0]
    head, _, *rows = found["cells: done, hours left"]
    assert [row[0] for row in rows] == ["transunet", "mae", "analysis-vit_l"]
    by_method = {row[0]: dict(zip(head, row)) for row in rows}
    # Five seeds of 1,000 frames, 100 epochs, 200 frames per second, 20 seconds to start.
    assert by_method["mae"]["arcade_v"] == f"0/5 · {5 * (1000 * 100 / 200 + 20) / 3600:.2f} h"
    assert by_method["mae"]["arcade_v-10pct"] == f"0/5 · {5 * (100 * 100 / 200 + 20) / 3600:.2f} h"
    assert by_method["transunet"]["xcav"] == "—"
    assert by_method["analysis-vit_l"]["arcade_v-25pct"] == "—"


def test_a_table_is_printed_where_the_plan_has_runs_that_it_is_about(tmp_path):
    """A part of a matrix has a part of its rows; the main board has no analyses to train."""
    part = restrict(matrix_of("journal", tmp_path), methods=["vasomim", "analysis-schedule_0_1"])
    journal = [entry for entry in ANALYSES if entry.protocol == "journal"]
    found = sections(dry_run(part, journal))
    # The shares and patches are of VasoMIM alone.
    assert [name for name in found if name.startswith(("table", "figure"))] == [
        "table VI: Clusters of patch features",
        "table VIII: Guidance schedule, β_0 → β_E",
        "figure 6: Label efficiency",
    ]
    rows = found["table VIII: Guidance schedule, β_0 → β_E"][2:]
    assert [row[0] for row in rows] == ["0 → 0.5", "0 → 1"]
    plain = restrict(part, methods=["vasomim"], datasets=["arcade_v"])
    text = dry_run(plain, journal)
    assert "table V" not in text
    assert "figure" not in text


def test_other_datasets_stand_in_for_those_of_the_paper(tmp_path):
    """Shares, patches and vessels of another dataset, with whatever methods have them."""
    names = ("synthetic_v", "synthetic_v-25pct", "synthetic_v-patches", "dca1")
    matrix = matrix_of("journal", tmp_path).model_copy(
        update={
            "methods": ("unet", "mae", "vasomim", "analysis-components_none"),
            "datasets": names,
            "only": {"synthetic_v-25pct": ("unet", "vasomim")},
            "without": {},
        }
    )
    found = sections(dry_run(matrix, [entry for entry in ANALYSES if entry.protocol == "journal"]))
    head, _, *rows = found["table IV: Components"]
    assert head[2:] == ["synthetic_v", "dca1"]
    assert [row[0] for row in rows] == ["None", "Both"]
    head, _, *rows = found["figure 6: Label efficiency"]
    assert head[2:] == ["synthetic_v-25pct", "synthetic_v"]
    assert [row[0] for row in rows] == ["MAE", "VasoMIM", "unet"]
    assert found["table VI: Clusters of patch features"][0][2:] == ["synthetic_v-patches"]


def test_many_datasets_are_rows(tmp_path):
    """24 columns would leave no room for their names."""
    matrix = read_matrix(CONFIGS / "leaderboard" / "few_labels.py")
    matrix = matrix.model_copy(update={"work": str(tmp_path)})
    found = sections(dry_run(matrix, ANALYSES))
    head, _, *rows = found["cells: done, hours left"]
    assert head[1:] == ["transunet", "random", "mae", "vasomim_v1", "vasomim"]
    assert len(rows) == 24
    by_dataset = {row[0]: dict(zip(head, row)) for row in rows}
    # As many steps as with all labels, whose number is that of the published frames.
    expected = f"0/5 · {5 * (175 * 100 / 200 + 20) / 3600:.2f} h"
    for count in (1, 2, 5, 10):
        assert by_dataset[f"xcav-{count}images"]["mae"] == expected
    assert by_dataset["xcav"]["mae"] == expected


def test_many_columns_are_several_tables_and_features_have_a_size(tmp_path):
    """27 methods × 12 datasets: no name is cut."""
    matrix = read_matrix(CONFIGS / "leaderboard" / "quick.py")
    told = dry_run(matrix.model_copy(update={"work": str(tmp_path)}), ANALYSES)
    heads = [line.split() for line in told.splitlines() if "cells: done, hours left" in line]
    assert [name for head in heads for name in head[4:]] == list(matrix.datasets)
    assert [len(head) for head in heads] == [10, 10]
    # Features 14² × 768 in fp32 and a mask of 224² in int32, each frame and its mirror image.
    frames = 100 + 175 + 337 + 3 * 1000
    size = 27 * 2 * frames * 4 * (14 * 14 * 768 + 224 * 224) / 1e9
    assert f"by frozen encoders: about {size:.0f} GB," in told

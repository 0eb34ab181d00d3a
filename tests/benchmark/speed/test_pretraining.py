"""The table of training costs: every column follows from what was measured."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS
from benchmark.speed.pretraining import COLUMNS, bench_pretrain


def test_a_row_for_each_method_beside_mae(tmp_path: Path) -> None:
    out = tmp_path / "steps.csv"
    options = dict(configs=CONFIGS, scale="tiny", batch=2, repeats=2, threads=1, out=out)
    rows = bench_pretrain(["vasomim"], **options, mae_options=["method.encoder.depth=2"])
    with out.open(newline="") as stream:
        written = list(csv.DictReader(stream))
    assert written == rows
    assert tuple(written[0]) == COLUMNS
    assert [row["method"] for row in rows] == ["mae", "vasomim"]
    assert rows[0]["relative_to_mae"] == "1.00"
    for row in rows:
        per_second = 1000 * 2 / float(row["step_ms"])
        assert float(row["images_per_s"]) == pytest.approx(per_second, rel=0.02)
        # Weights, gradients and two moments of AdamW, in single precision, and some activations.
        states = 4 * 4 * 1e6 * float(row["parameters_m"]) / 2**20
        assert states < float(row["peak_memory_mb"]) < states + 60
    # Two blocks of 96 wide less: 2·(12·96² + 13·96) parameters.
    fewer = float(rows[1]["parameters_m"]) - float(rows[0]["parameters_m"])
    assert fewer == pytest.approx(2 * (12 * 96**2 + 13 * 96) / 1e6, abs=0.011)


def test_bad_input_is_named(tmp_path: Path) -> None:
    options = dict(configs=CONFIGS, scale="tiny", repeats=1, threads=1)
    with pytest.raises(InputError, match=r"vasomin: no such method in .*; known: amt"):
        bench_pretrain(["vasomin"], batch=2, **options)
    with pytest.raises(InputError, match="--batch 0"):
        bench_pretrain(["vasomim"], batch=0, **options)

"""Validation of a results folder before it is shared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark import files
from benchmark.results import find_problems, read_results, write_record

Edit = Callable[..., None]
PLACE = "journal/vasomim/arcade_v"


def test_complete_results_have_no_problems(tmp_path, write, examples):
    for seed in range(3):
        write(seed=seed, examples=examples[:seed])
    assert find_problems(tmp_path) == (3, [])


def _rewritten(path: Path, edit: Edit, table: str) -> None:
    """Scores changed by somebody who knows how to compute a hash."""
    path.with_suffix(".csv").write_text(table)
    sha256 = files.sha256_bytes(table.encode())
    edit(path, per_image={"file": path.with_suffix(".csv").name, "sha256": sha256})


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("image,dsc\na,79\n", "seed0.csv: 1 rows, but the record says 2 images"),
        ("image,dsc\na,79\na,81\n", "seed0.csv: 2 rows for image 'a'"),
        ("image,dsc\na,79\nb,good\n", "seed0.csv: column 'dsc', row 2: 'good' is not a number"),
        (
            "image,dsc\na,79\nb,80\n",
            "seed0.json: key 'metrics.dsc.value' is 80.06172839450618, its scores give 79.5",
        ),
        (
            "image,dsc\na,79\nb,\n",
            "seed0.json: key 'metrics.dsc.value' is 80.06172839450618, its scores give nan",
        ),
    ],
)
def test_scores_that_do_not_give_the_record_are_found(tmp_path, write, edit, table, line):
    path = write()
    write(seed=1)
    _rewritten(path, edit, table)
    # Reading trusts the hash; this is what one looks closer for.
    assert read_results(tmp_path)[1] == []
    assert find_problems(tmp_path) == (1, [f"{PLACE}/{line}"])


def test_metrics_that_are_not_the_mean_of_a_column_are_not_compared(tmp_path, make_record, scores):
    """Average precision ranks all images together; its column holds that of each image alone."""
    metrics = {"map": {"value": 40.0, "definition": "coco-ap/v1", "higher_is_better": True}}
    record = make_record(metrics=metrics)
    write_record(tmp_path, record, scores.assign(map=[50.0, float("nan")]))
    assert find_problems(tmp_path) == (1, [])


def test_examples_are_opened_and_belong_to_scored_images(tmp_path, write, examples):
    other = [replace(examples[0], image="z")]
    write(seed=0, examples=other)
    broken = write(seed=1, examples=examples)
    broken.with_suffix(".examples.npz").write_bytes(b"")
    hash_line = "key 'examples.sha256' is not the hash of seed1.examples.npz"
    assert find_problems(tmp_path) == (
        0,
        [
            f"{PLACE}/seed0.json: example 'z' is not a scored image",
            f"{PLACE}/seed1.json: {hash_line}",
        ],
    )

import csv

import pytest

from benchmark.results import path_of, read_examples, read_results
from benchmark.speed.timing import COLUMNS
from leaderboard.bench import bench_leaderboard, make_results


@pytest.mark.slow
def test_the_baseline_finds_the_same_numbers(tmp_path, capsys):
    """Means, standard deviations and p-values of pandas and scipy, cell by cell."""
    sizes = {"methods": 3, "datasets": 2, "seeds": 3, "examples": 1}
    (row,) = bench_leaderboard(**sizes, repeats=1, out=tmp_path / "b.csv")
    assert (row["agreement_mean"], row["agreement_min"]) == ("1.000000", "1.000000")
    assert "18 result files with 1 examples each" in capsys.readouterr().out
    with open(tmp_path / "b.csv", newline="") as stream:
        assert tuple(next(csv.reader(stream))) == COLUMNS


def test_its_result_files_are_valid_and_of_every_task(tmp_path):
    assert make_results(tmp_path, methods=1, datasets=8, seeds=2, examples=1) == 16
    records, problems = read_results(tmp_path)
    assert (len(records), problems) == (16, [])
    examples = [read_examples(path_of(record, tmp_path)) for record in records]
    assert [len(found) for found in examples] == [1] * 16
    assert {record.task for record in records} == {"segmentation", "detection", "denoising"}

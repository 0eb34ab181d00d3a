import csv

import pytest

from benchmark.results import read_results
from benchmark.speed.timing import COLUMNS
from leaderboard.bench import bench_leaderboard, make_results


@pytest.mark.slow
def test_the_baseline_finds_the_same_numbers(tmp_path, capsys):
    """Means, standard deviations and p-values of pandas and scipy, cell by cell."""
    (row,) = bench_leaderboard(methods=3, datasets=2, seeds=3, repeats=1, out=tmp_path / "b.csv")
    assert (row["agreement_mean"], row["agreement_min"]) == ("1.000000", "1.000000")
    assert "18 result files" in capsys.readouterr().out
    with open(tmp_path / "b.csv", newline="") as stream:
        assert tuple(next(csv.reader(stream))) == COLUMNS


def test_its_result_files_are_valid_and_of_every_task(tmp_path):
    assert make_results(tmp_path, methods=1, datasets=8, seeds=2) == 16
    records, problems = read_results(tmp_path)
    assert (len(records), problems) == (16, [])
    assert {record.task for record in records} == {"segmentation", "detection", "denoising"}

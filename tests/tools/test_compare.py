"""`tools/leaderboard.py --compare`, as users run it."""

import re
import shlex
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from record_values import make_record, metric

from benchmark.method_cards import CONFIGS
from benchmark.results import record_path, write_record
from benchmark.sweep.cells import cells_of
from benchmark.sweep.matrix import read_matrix, restrict
from leaderboard.analyses import ANALYSES
from leaderboard.published import COMPARABLE

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def compare(run_tool, tmp_path):
    return partial(run_tool, ROOT / "tools" / "leaderboard.py", "--compare", "--out", tmp_path)


@pytest.fixture
def results(tmp_path):
    """Runs of both papers and of a smaller scale, of which only the former are compared."""
    folder = tmp_path / "results"
    for protocol, dataset, dsc in (
        ("journal", "xcav", 85.0),
        ("aaai", "caxf", 84.0),
        ("demo", "synthetic_v", 50.0),
    ):
        for seed in range(3):
            metrics = {"dsc": metric(dsc + seed / 10, COMPARABLE["journal"]["dsc"])}
            about = {"protocol": protocol, "dataset": dataset, "seed": seed}
            record = make_record(metrics=metrics, **about)
            scores = pd.DataFrame({"image": ["a"], "dsc": [dsc + seed / 10]})
            write_record(folder, record, scores)
    return folder


def test_without_results_everything_is_to_be_run(compare, tmp_path):
    """Each command is one that `tools/run_benchmark.sh` takes, and runs all it is printed for."""
    (tmp_path / "empty").mkdir()
    done = compare("--results", tmp_path / "empty")
    assert (done.returncode, done.stderr) == (0, "")
    text = (tmp_path / "compare.md").read_text()
    assert done.stdout == text
    assert "Runs: 0 of protocol journal, 0 of protocol aaai." in text
    covered = set()
    for command in re.findall(r"^tools/run_benchmark.sh .*(?=  # )", text, re.MULTILINE):
        _, config, *options = shlex.split(command)
        cut = options.index("--datasets")
        assert options[0] == "--methods"
        matrix = restrict(
            read_matrix(ROOT / config), methods=options[1:cut], datasets=options[cut + 1 :]
        )
        protocol = matrix.protocol or "journal"
        covered |= {(protocol, *cell) for cell in cells_of(matrix, CONFIGS)}
    wanted = {
        (analysis.protocol, member.method) for analysis in ANALYSES for member in analysis.members
    }
    assert wanted <= {(protocol, method) for protocol, method, _ in covered}


def test_measured_numbers_beside_published_ones(compare, results, tmp_path):
    first = compare("--results", results)
    assert (first.returncode, first.stderr) == (0, "")
    written = {name: (tmp_path / name).read_bytes() for name in ("compare.md", "compare.html")}
    text = written["compare.md"].decode()
    assert "Runs: 3 of protocol journal, 3 of protocol aaai." in text
    # Table I has 84.84 ± 1.79; table 1 of the conference paper 83.53 ± 0.14.
    assert "| MAE | XCAV DSC | 84.84 ± 1.79 | 85.10 ± 0.10 | 3 | +0.26 | +0.15 |" in text
    assert "| MAE | CAXF DSC | 83.53 ± 0.14 | 84.10 ± 0.10 | 3 | +0.57 | **+3.31** |" in text
    again = compare("--results", results)
    assert again.stdout == first.stdout
    assert {name: (tmp_path / name).read_bytes() for name in written} == written


def test_a_skipped_file_is_named_and_costs_nothing_else(compare, results, tmp_path):
    record_path(results, "journal", "mae", "xcav", 0).write_text("<script>")
    done = compare("--results", results, "--format", "html")
    assert done.returncode == 0
    page = (tmp_path / "compare.html").read_text()
    assert "journal/mae/xcav/seed0.json" in page
    assert not (tmp_path / "compare.md").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--published",), "--compare has no effect with --published"),
        (("--protocol", "journal"), "--protocol has no effect with --compare"),
        (("--format", "csv"), "--format csv: --compare writes md and html"),
        (("--results", "/nowhere"), "/nowhere: no such folder of results"),
    ],
)
def test_refusals(compare, options, words):
    done = compare(*options)
    assert done.returncode == 2
    assert words in done.stderr.splitlines()[-1]

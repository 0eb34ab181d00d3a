import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from benchmark import files
from benchmark.engine import records
from benchmark.engine.records import (
    RunRecord,
    path_of,
    provenance,
    read_record,
    read_results,
    record_path,
    science_hash,
    write_record,
)
from benchmark.errors import InputError

ROOT = Path(__file__).resolve().parents[3]
SCORES = pd.DataFrame({"image": ["a.png", "b.png"], "dsc": [79.123456789012345, 81.0]})
LEAKAGE = {"report_hash": "4ea1", "exact": 0, "similar": 3, "groups": 1}
CONFIG = {"lr": 2e-4, "epochs": 100, "work_dir": "/somewhere", "seed": 0}


def make_record(**changes) -> RunRecord:
    values = {
        "protocol": "journal",
        "method": "vasomim",
        "title": "VasoMIM",
        "family": "Medical SSL",
        "pretraining": "XA-170K",
        "dataset": "arcade_v",
        "task": "segmentation",
        "seed": 0,
        "split_hash": "5e1f",
        "corpus_hash": "c0de",
        "metrics": {
            "dsc": {
                "value": 80.06172839450617,
                "definition": "dsc/per-image-mean/empty=1/v1",
                "higher_is_better": True,
            }
        },
        "n_images": 2,
        "config": CONFIG,
        "science_hash": science_hash(CONFIG),
        "seeds": {"init": 0, "order": 0},
        "versions": {"python": "3.11.7"},
        "device": "cpu",
        "wall_time_s": 12.5,
        "finished": "2025-01-02T03:04:05+00:00",
        "encoder": {"fingerprint": "f1", "weights_sha256": None, "provenance": {"run": "p1"}},
        "git": {"commit": "abc", "dirty": False},
    }
    return RunRecord(**{**values, **changes})


def metric(value: object) -> dict:
    return {"dsc": {"value": value, "definition": "dsc/v1", "higher_is_better": True}}


def test_round_trip_keeps_every_bit(tmp_path):
    record = make_record()
    path = write_record(tmp_path, record, SCORES)
    assert path == record_path(tmp_path, "journal", "vasomim", "arcade_v", 0)
    assert path == tmp_path / "journal/vasomim/arcade_v/seed0.json"
    back = read_record(path)
    assert replace(back, per_image=None) == record
    assert back.per_image["file"] == "seed0.csv"
    lines = path.with_suffix(".csv").read_text().splitlines()
    assert [float(line.split(",")[1]) for line in lines[1:]] == SCORES["dsc"].tolist()
    assert read_results(tmp_path) == ([back], [])


def test_leakage_is_optional_and_older_records_without_the_key_are_read(tmp_path):
    with_counts = write_record(tmp_path / "a", make_record(leakage=LEAKAGE), SCORES)
    assert read_record(with_counts).leakage == LEAKAGE
    path = write_record(tmp_path / "b", make_record(), SCORES)
    now = read_record(path)
    assert now.leakage is None
    assert now.science_hash == read_record(with_counts).science_hash
    drop(path, "leakage")
    assert read_record(path) == now
    assert read_results(tmp_path / "b") == ([now], [])


def test_equal_records_are_equal_files(tmp_path):
    first = write_record(tmp_path / "a", make_record(), SCORES)
    second = write_record(tmp_path / "b", make_record(), SCORES)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"schema": 2}, "schema"),
        ({"schema": True}, "schema"),
        ({"method": "../escape"}, "method"),
        ({"method": ""}, "method"),
        ({"title": " "}, "title"),
        ({"task": "segmentaton"}, "task"),
        ({"seed": -1}, "seed"),
        ({"seed": "0"}, "seed"),
        ({"split_hash": None}, "split_hash"),
        ({"metrics": {}}, "metrics"),
        ({"metrics": {"dsc": 80.0}}, "metrics.dsc"),
        ({"metrics": metric(float("nan"))}, "metrics.dsc.value"),
        ({"metrics": metric(100.5)}, "metrics.dsc.value"),
        ({"metrics": metric(None)}, "metrics.dsc.value"),
        ({"metrics": {"dsc": {"value": 1.0, "definition": "v1"}}}, "metrics.dsc.higher_is_better"),
        ({"wall_time_s": float("inf")}, "wall_time_s"),
        ({"finished": "yesterday"}, "finished"),
        ({"encoder": {"fingerprint": "f"}}, "encoder.weights_sha256"),
        ({"git": {"commit": "abc", "dirty": "no"}}, "git.dirty"),
        ({"leakage": {**LEAKAGE, "similar": -1}}, "leakage.similar"),
        ({"leakage": {"exact": 0, "similar": 0, "groups": 0}}, "leakage.report_hash"),
        ({"n_images": 3}, "n_images"),
        ({"science_hash": "0"}, "science_hash"),
    ],
)
def test_writing_refuses_and_names_the_key(tmp_path, changes, key):
    with pytest.raises(InputError, match=f"seed.*json: key '{key}'"):
        write_record(tmp_path, make_record(**changes), SCORES)
    assert list(tmp_path.rglob("*")) == []


def test_writing_refuses_a_configuration_that_json_cannot_hold(tmp_path):
    with pytest.raises(InputError, match="config: not JSON-able"):
        write_record(tmp_path, make_record(config={"layers": {1, 2}}), SCORES)
    assert list(tmp_path.rglob("*")) == []


def edit(path: Path, **changes) -> None:
    data = json.loads(path.read_text())
    data.update(changes)
    path.write_text(json.dumps(data))


def drop(path: Path, key: str) -> None:
    data = json.loads(path.read_text())
    del data[key]
    path.write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:100]), "not a JSON file"),
        (lambda path: path.write_bytes(b""), "not a JSON file"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "not a JSON file"),
        (lambda path: path.write_text("[1, 2]"), "not a result record"),
        (lambda path: path.write_text('{"results": {"acc": 1}}'), "'schema' is missing"),
        (lambda path: edit(path, schema=2), "'schema' must be 1, found 2"),
        (lambda path: edit(path, metrics=metric(float("nan"))), "'metrics.dsc.value'"),
        (lambda path: edit(path, extra=1), "'extra' is unknown"),
        (lambda path: drop(path, "split_hash"), "'split_hash' is missing"),
        (lambda path: edit(path, per_image={"file": "../x", "sha256": "0"}), "'per_image.file'"),
        (lambda path: path.with_suffix(".csv").unlink(), "'per_image.file'"),
        (lambda path: path.with_suffix(".csv").write_text("image,dsc\n"), "'per_image.sha256'"),
        (lambda path: edit(path, seed=7), "another place, journal/vasomim/arcade_v/seed7.json"),
    ],
)
def test_a_damaged_record_is_reported_by_name_and_left_out(tmp_path, damage, words):
    bad = write_record(tmp_path, make_record(), SCORES)
    good = write_record(tmp_path, make_record(seed=1), SCORES)
    damage(bad)
    found, problems = read_results(tmp_path)
    assert found == [read_record(good)]
    assert len(problems) == 1
    assert problems[0].startswith("journal/vasomim/arcade_v/seed0.json: ")
    assert words in problems[0]
    assert "\n" not in problems[0]
    # Where the results lie is not part of the message: boards are equal on every machine.
    assert str(tmp_path) not in problems[0]


def test_a_second_record_of_a_run_is_reported_and_the_nearer_one_kept(tmp_path):
    path = write_record(tmp_path, make_record(), SCORES)
    write_record(tmp_path / "backup", make_record(metrics=metric(99.0)), SCORES)
    found, problems = read_results(tmp_path)
    assert found == [read_record(path)]
    assert problems == [
        "backup/journal/vasomim/arcade_v/seed0.json: a second record of the run "
        "journal/vasomim/arcade_v/seed0.json"
    ]


def test_temporary_files_are_passed_over(tmp_path):
    path = write_record(tmp_path, make_record(), SCORES)
    path.with_name("seed1.json.123.tmp").write_text("{")
    assert read_results(tmp_path) == ([read_record(path)], [])


def test_reading_a_missing_folder(tmp_path):
    with pytest.raises(InputError, match="absent"):
        read_results(tmp_path / "absent")
    assert read_results(tmp_path) == ([], [])


@pytest.mark.parametrize("already_there", [False, True])
def test_a_kill_between_scores_and_record_leaves_no_record(tmp_path, monkeypatch, already_there):
    if already_there:
        write_record(tmp_path, make_record(metrics=metric(50.0)), SCORES.assign(dsc=50.0))
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(files, "write_json", lambda *_: os._exit(9))
        write_record(tmp_path, make_record(), SCORES)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert read_results(tmp_path) == (
        [],
        ["journal/vasomim/arcade_v/seed0.csv: per-image scores without a record"],
    )
    # The same run again mends it.
    path = write_record(tmp_path, make_record(), SCORES)
    assert read_results(tmp_path) == ([read_record(path)], [])


def test_a_failed_write_leaves_no_temporary_file(tmp_path, monkeypatch):
    def full_disk(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(files.os, "replace", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_record(tmp_path, make_record(), SCORES)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_science_hash_ignores_paths_workers_and_logging_at_any_depth():
    base = {"model": {"depth": 12}, "data": [{"batch_size": 8, "num_workers": 4, "root": "/a"}]}
    moved = {
        "data": [{"num_workers": 0, "batch_size": 8, "root": "/b"}],
        "work_dir": "/c",
        "model": {"depth": 12, "logger": {"interval": 5}},
    }
    assert science_hash(base) == science_hash(moved)
    assert science_hash({"x": (1, 2)}) == science_hash({"x": [1, 2]})
    other = {"model": {"depth": 12}, "data": [{"batch_size": 16}]}
    assert science_hash(base) != science_hash(other)


def test_science_hash_counts_the_seed_unless_told_otherwise():
    one, two = {"lr": 1, "seed": 0}, {"lr": 1, "seed": 1}
    assert science_hash(one) != science_hash(two)
    assert science_hash(one, also_drop=("seed",)) == science_hash(two, also_drop=("seed",))
    with pytest.raises(InputError, match="config"):
        science_hash({"lr": object()})


def test_provenance_names_versions_and_fits_a_record(tmp_path):
    facts = provenance()
    assert facts["versions"]["python"].count(".") == 2
    assert facts["versions"]["pandas"] == pd.__version__
    assert None not in facts["versions"].values()
    write_record(tmp_path, make_record(**facts), SCORES)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository that holds the module, seen through the module's `__file__`."""
    module = tmp_path / "benchmark" / "engine" / "records.py"
    module.parent.mkdir(parents=True)
    module.write_text("x = 1\n")
    monkeypatch.setattr(records, "__file__", str(module))
    # A hook's variables must not point the calls at another repository.
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    plain = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        command = ["git", *identity, *arguments]
        subprocess.run(command, cwd=tmp_path, env=plain, check=True, capture_output=True)

    return tmp_path, git


def test_git_state_of_the_checkout(checkout):
    folder, git = checkout
    assert provenance()["git"] is None
    git("init")
    assert provenance()["git"] is None, "an untracked copy is not the checkout's code"
    git("add", ".")
    assert provenance()["git"] is None, "there is no commit yet"
    git("commit", "-m", "first")
    state = provenance()["git"]
    assert len(state["commit"]) == 40
    assert state["dirty"] is False
    (folder / "results.json").write_text("{}")
    assert provenance()["git"] == state, "a result is not a change of the code"
    (folder / "new.py").write_text("")
    assert provenance()["git"] == {**state, "dirty": True}


def test_importing_records_is_light():
    code = (
        "import sys, benchmark.engine.records as r; r.provenance(); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'pandas', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_path_of_is_relative_without_a_root():
    assert path_of(make_record(seed=3)).as_posix() == "journal/vasomim/arcade_v/seed3.json"

"""Records round-trip exactly; damaged ones are named and skipped."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from benchmark import files
from benchmark.errors import InputError
from benchmark.results import (
    path_of,
    read_record,
    read_results,
    read_scores,
    record_path,
    write_record,
)


def metric(value: object) -> dict:
    return {"dsc": {"value": value, "definition": "dsc/v1", "higher_is_better": True}}


def test_round_trip_keeps_every_bit(tmp_path, make_record, scores):
    leakage = {"report_hash": "4ea1", "exact": 0, "similar": 3, "groups": 1}
    record = make_record(leakage=leakage)
    path = write_record(tmp_path, record, scores)
    assert path == record_path(tmp_path, "journal", "vasomim", "arcade_v", 0)
    assert path == tmp_path / "journal/vasomim/arcade_v/seed0.json"
    back = read_record(path)
    assert back.model_copy(update={"per_image": None}) == record
    assert (back.per_image.file, back.examples) == ("seed0.csv", None)
    assert read_scores(path) == {name: scores[name].tolist() for name in scores}
    assert read_results(tmp_path) == ([back], [])


def test_path_of_is_relative_without_a_root(make_record):
    assert path_of(make_record(seed=3)).as_posix() == "journal/vasomim/arcade_v/seed3.json"


def test_equal_records_are_equal_files(write):
    first = write(folder="a")
    second = write(folder="b")
    assert first.read_bytes() == second.read_bytes()


def test_scores_are_names_and_numbers(write, scores):
    """Undefined scores are NaN, flags 1 and 0; names stay texts even if they look like numbers."""
    table = scores.assign(
        image=["007", "1e3"],
        patient=["p1", None],
        map=[61.5, float("nan")],
        non_empty=[True, False],
        n_truth=[1, 0],
    )
    path = write(scores=table)
    found = read_scores(path)
    assert found["image"] == ["007", "1e3"]
    assert found["patient"] == ["p1", None]
    assert (found["non_empty"], found["n_truth"]) == ([1.0, 0.0], [1.0, 0.0])
    assert found["map"][0] == 61.5
    assert math.isnan(found["map"][1])
    # pandas, which is not needed to read them, reads the same numbers.
    there = pd.read_csv(path.with_suffix(".csv"), float_precision="round_trip")
    assert found["dsc"] == there["dsc"].tolist() == table["dsc"].tolist()
    assert list(read_scores(path, {"dsc", "image", "absent"})) == ["image", "dsc"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a table of scores"),
        (b"dsc\n1\n", "a column 'image'"),
        (b"image,dsc\na\n", "all rows of one length"),
        (b"image,dsc\na,1\nb,high\n", "column 'dsc', row 2: 'high' is not a number"),
        (b"\xff\xfe", "not a table of scores"),
        (b"image,dsc,dsc\na,1,2\n", "two columns of one name"),
        (b"image,dsc\na,1\nb,inf\n", "column 'dsc', row 2: inf is not a score"),
        (b"image,dsc\na,-1e308\n", "column 'dsc', row 1: -1e\\+308 is not a score"),
    ],
)
def test_an_invalid_table_of_scores_is_named(tmp_path, content, words):
    (tmp_path / "seed0.csv").write_bytes(content)
    with pytest.raises(InputError, match=rf"seed0\.csv: .*{words}"):
        read_scores(tmp_path / "seed0.json")
    with pytest.raises(InputError, match=r"seed1\.csv: no such file"):
        read_scores(tmp_path / "seed1.json")


def drop(path: Path, key: str) -> None:
    data = json.loads(path.read_text())
    del data[key]
    path.write_text(json.dumps(data))


def swap(old: str, new: str) -> Callable[..., None]:
    """A damage that replaces a part of the text of a record."""

    def damage(path: Path, edit: object) -> None:
        before = path.read_text(encoding="utf-8")
        assert old in before
        path.write_text(before.replace(old, new, 1), encoding="utf-8")

    return damage


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path, edit: path.write_bytes(path.read_bytes()[:100]), "not a JSON file"),
        (lambda path, edit: path.write_bytes(b""), "not a JSON file"),
        (lambda path, edit: path.write_bytes(b"\xff\xfe\x00"), "not a JSON file"),
        (lambda path, edit: path.write_text("[1, 2]"), "must hold a JSON object"),
        (lambda path, edit: path.write_text('{"results": {"acc": 1}}'), "'schema' is missing"),
        (lambda path, edit: edit(path, schema=2, seed="0"), "'schema' must be 1, found 2"),
        (lambda path, edit: edit(path, schema="1"), "'schema' must be 1, found '1'"),
        (lambda path, edit: edit(path, schema=True), "'schema' must be 1, found True"),
        (lambda path, edit: edit(path, metrics=metric(100.5)), "'metrics.dsc.value'"),
        (lambda path, edit: edit(path, metrics=metric(float("nan"))), "NaN is not JSON"),
        (lambda path, edit: edit(path, extra=1), "unknown key 'extra'"),
        (lambda path, edit: edit(path, per_image=None), "'per_image' must be an object"),
        (lambda path, edit: drop(path, "split_hash"), "'split_hash' is missing"),
        (lambda path, edit: drop(path, "command"), "'command' is missing"),
        (
            lambda path, edit: edit(path, per_image={"file": "../x", "sha256": "0"}),
            "'per_image.file'",
        ),
        (lambda path, edit: path.with_suffix(".csv").unlink(), "'per_image.file'"),
        (lambda path, edit: path.with_suffix(".csv").write_text("image\n"), "'per_image.sha256'"),
        (lambda path, edit: edit(path, seed=7), "another place, journal/vasomim/arcade_v/seed7"),
        (lambda path, edit: path.write_text("[" * 100_000), "nested deeper"),
        (swap('"lr": 0.0002', '"lr": ' + "[" * 5000 + "]" * 5000), "nested deeper"),
        (swap('"seed": 0', '"seed": ' + "9" * 5000), "a number of 5000 digits"),
        (swap('"lr": 0.0002', '"lr": NaN'), "NaN is not JSON"),
        (swap('"run": "p1"', '"run": -Infinity'), "-Infinity is not JSON"),
        (swap('"lr": 0.0002', '"lr": 1e400'), "1e400 is beyond float64"),
        (swap('"VasoMIM"', '"\\ud800"'), "half a surrogate pair"),
        (swap('"3.11.7"', "[3, 11]"), "'versions.python' must be a valid string"),
        (swap('"dirty": false', '"dirty": false, "dirty": true'), "twice"),
        (swap('"VasoMIM"', f'"{"V" * 20_000_000}"'), "larger than 4 MiB"),
        (swap('"VasoMIM"', f'"{"V" * 1_000_000}"'), "at most 200 characters"),
        (swap("{", "\ufeff{"), "byte order mark"),
    ],
)
def test_a_damaged_record_is_named_and_skipped(tmp_path, write, edit, damage, words):
    bad = write()
    good = write(seed=1)
    damage(bad, edit)
    found, problems = read_results(tmp_path)
    assert found == [read_record(good)]
    assert len(problems) == 1
    assert problems[0].startswith("journal/vasomim/arcade_v/seed0.json: ")
    assert words in problems[0]
    assert "\n" not in problems[0]
    assert len(problems[0]) < 300
    # Where the results lie is not part of the message: boards are equal on every machine.
    assert str(tmp_path) not in problems[0]


def test_records_of_earlier_versions_lack_what_was_added_since(tmp_path, write):
    """They are read as if it had not been measured."""
    path = write()
    for key in ("parameters", "trained_parameters"):
        drop(path, key)
    found, problems = read_results(tmp_path)
    assert problems == []
    assert (found[0].parameters, found[0].trained_parameters) == (None, None)


def test_a_second_record_of_a_run_is_reported_and_the_nearer_one_kept(tmp_path, write):
    path = write()
    write(metrics=metric(99.0), folder="backup")
    found, problems = read_results(tmp_path)
    assert found == [read_record(path)]
    assert problems == [
        "backup/journal/vasomim/arcade_v/seed0.json: a second record of the run "
        "journal/vasomim/arcade_v/seed0.json"
    ]


def test_a_work_folder_is_read_by_its_results_folders(tmp_path, write):
    """Files of runs outside of them are no records; a record outside is still one."""
    path = write(folder="results")
    other = write(folder="demo/results", seed=1)
    outside = write(folder="kept", seed=2)
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "manifest.json").write_text("{}")
    foreign = path.parent / "notes.json"
    foreign.write_text("{}")
    found, problems = read_results(tmp_path)
    assert found == [read_record(one) for one in (path, other, outside)]
    assert len(problems) == 1
    assert problems[0].startswith("results/journal/vasomim/arcade_v/notes.json: ")


def test_temporary_files_are_ignored(tmp_path, write):
    path = write()
    path.with_name("seed1.json.123.tmp").write_text("{")
    assert read_results(tmp_path) == ([read_record(path)], [])


def test_reading_a_missing_folder(tmp_path):
    with pytest.raises(InputError, match="absent"):
        read_results(tmp_path / "absent")
    assert read_results(tmp_path) == ([], [])


@pytest.mark.parametrize("already_there", [False, True])
def test_a_kill_between_scores_and_record_leaves_no_record(
    tmp_path, write, scores, monkeypatch, already_there
):
    if already_there:
        write(metrics=metric(50.0), scores=scores.assign(dsc=50.0))
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(files, "write_json", lambda *_: os._exit(9))
        write()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert read_results(tmp_path) == (
        [],
        ["journal/vasomim/arcade_v/seed0.csv: per-image scores without a record"],
    )
    # The same run again mends it.
    path = write()
    assert read_results(tmp_path) == ([read_record(path)], [])


def test_a_failed_write_leaves_no_temporary_file(tmp_path, write, monkeypatch):
    def full_disk(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(files.os, "replace", full_disk)
    with pytest.raises(OSError, match="no space"):
        write()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

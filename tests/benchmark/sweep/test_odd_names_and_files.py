"""Folders with names that mean something elsewhere, and files that are not what their name says."""

from __future__ import annotations

import os
import shlex
import shutil
from typing import Any

import pytest

from benchmark.errors import InputError
from benchmark.sweep.cleanup import clean_up
from benchmark.sweep.inputs import corpus_of
from benchmark.sweep.jobs import failure_path, lock_path
from benchmark.sweep.matrix import Matrix, check_folders
from benchmark.sweep.plan import SweepSettings, make_plan, sweep_folder


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        ("a\nb", "line break"),
        ("a\x1b[31mb", "control character"),
        ("a\u2028b", "line break"),
        ("a\udcffb", "not UTF-8"),
        ("-x", "begins with a dash"),
    ],
)
def test_a_folder_that_cannot_be_named_is_refused_at_once(tmp_path, monkeypatch, work, reason):
    """In one line, before the configs are asked: as the folder of the runs, of data, or below."""

    def resolver(request: dict[str, Any]) -> dict[str, Any]:
        raise AssertionError

    monkeypatch.chdir(tmp_path)
    matrix = Matrix(
        name="m", title="M", methods=("mae",), datasets=("arcade_v",), seeds=(0,), work="work"
    )
    refused = [matrix.model_copy(update={"work": work})]
    refused.append(matrix.model_copy(update={"data": {"arcade_v": work}}))
    refused.append(matrix.model_copy(update={"packs": ("{work}/p", work)}))
    if work != "-x":
        refused.append(matrix.model_copy(update={"work": str(tmp_path / work / "runs")}))
    for each in refused:
        with pytest.raises(InputError, match=reason) as error:
            make_plan(each, resolver, SweepSettings())
        assert str(error.value).isprintable()
    assert list(tmp_path.iterdir()) == []


def test_letters_of_all_languages_may_be_in_a_name(sweep):
    """Among them the wide space of Chinese and Japanese, which Python takes for unprintable."""
    for name in ("冠動脈\u3000造影", "café", "cafe\u0301", "a'b", "-x"):
        check_folders(sweep.matrix.model_copy(update={"work": str(sweep.work / name)}))


def test_a_printed_command_can_be_run_as_it_is(sweep):
    """A shell reads the folder back, whatever is in its name: declared commands and others."""
    shutil.rmtree(sweep.work / "downstream")
    shutil.rmtree(sweep.work / "packs")
    corpus_of.cache_clear()
    declared = {"{work}/downstream/arcade_v": "tools/prepare_data.py a --out {work}/downstream/b"}
    problems = {job.problem for job in sweep.only(commands=declared).plan().jobs}
    words = {tuple(shlex.split(problem.partition(": tools/")[2])) for problem in problems}
    outs = {each[each.index("--out") + 1] for each in words if each}
    assert outs == {
        str(sweep.work / name) for name in ("downstream/synthetic_v", "downstream/b", "packs/p")
    }


def test_files_of_the_sweep_that_hold_something_else_stop_nothing(sweep):
    """Failures, descriptions of runs and of encoders: another shape, or no JSON at all."""
    sweep.fill()
    folder = sweep_folder(sweep.matrix)
    run = sweep.work / "mae" / "pretrain" / "run.json"
    encoder = run.with_name("encoder.json")
    complete = run.read_bytes(), encoder.read_bytes()
    for content in (b"", b"[]", b"7", b'{"finished": 3}', b"\xff\x00", b'{"weights": []}'):
        for job in sweep.plan().jobs:
            failure_path(job.id, folder).parent.mkdir(parents=True, exist_ok=True)
            failure_path(job.id, folder).write_bytes(content)
        assert set(sweep.states().values()) == {"done"}
        run.write_bytes(content)
        assert sweep.states()["mae"] in ("stale", "missing")
        run.write_bytes(complete[0])
        encoder.write_bytes(content)
        stale = {name for name, state in sweep.states().items() if state == "stale"}
        assert stale == {f"mae-{data}_v-{n}" for data in ("synthetic", "arcade") for n in "012"}
        encoder.write_bytes(complete[1])


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_lock_that_is_no_file_is_the_problem_of_its_job(sweep, kind):
    path = lock_path("train-mae-pretrain", sweep_folder(sweep.matrix))
    path.parent.mkdir(parents=True)
    theirs = sweep.work / "thesis.tex"
    theirs.write_text("years of work")
    if kind == "link":
        path.symlink_to(theirs)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    job = next(job for job in sweep.plan().jobs if job.id == "train-mae-pretrain")
    assert (job.state, job.id in sweep.plan().todo) == ("missing", False)
    assert str(path) in job.problem
    clean_up(sweep.plan())
    assert os.path.lexists(path)
    assert theirs.read_text() == "years of work"
    assert len(sweep.plan().todo) == 27 - 1 - 6

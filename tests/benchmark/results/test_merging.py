"""Results of several machines are merged completely, and no number is lost silently."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from benchmark import files
from benchmark.errors import InputError
from benchmark.results import (
    Example,
    MergeStep,
    RunRecord,
    apply_step,
    find_problems,
    path_of,
    plan_merge,
    read_record,
    read_results,
    write_record,
)

MakeRecord = Callable[..., RunRecord]
Write = Callable[..., Path]


def merge(
    *sources: Path, into: Path, policy: str = "only-missing", examples: bool = True
) -> list[str]:
    """Plan and do it; what happened to each run in words, problems included."""
    steps, problems = plan_merge(sources, into, policy, examples)
    for step in steps:
        apply_step(step)
    return [f"{step.action} {step.target.stem}" for step in steps] + problems


def content(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_runs_of_two_machines_are_merged_byte_for_byte(tmp_path, write, examples):
    one, two, into = tmp_path / "one", tmp_path / "two", tmp_path / "into"
    write(examples=examples, folder=one)
    write(seed=1, folder=two / "nested")
    write(dataset="stenosis", task="detection", seed=3, folder=two / "x")
    done = merge(one, two, into=into)
    assert done == ["copied seed0", "copied seed1", "copied seed3"]
    assert content(into) == {**content(one), **content(two / "nested"), **content(two / "x")}
    assert find_problems(into) == (3, [])
    before = {path: path.stat().st_mtime_ns for path in into.rglob("*")}
    assert merge(one, two, into=into, policy="never") == [
        "equal seed0",
        "equal seed1",
        "equal seed3",
    ]
    assert {path: path.stat().st_mtime_ns for path in into.rglob("*")} == before


def test_pictures_are_left_out_where_asked(tmp_path, write, examples):
    """Of the record only the entry of its examples changes; the scores are the same bytes."""
    one, into = tmp_path / "one", tmp_path / "into"
    write(examples=examples, folder=one)
    assert merge(one, into=into, examples=False) == ["copied seed0"]
    before, after = content(one), content(into)
    (record,) = (name for name in before if name.endswith(".json"))
    (scores,) = (name for name in before if name.endswith(".csv"))
    assert after.keys() == {record, scores}
    assert after[scores] == before[scores]
    old = json.loads(before[record])
    assert old["examples"] is not None
    assert json.loads(after[record]) == {**old, "examples": None}
    assert find_problems(into) == (1, [])
    assert merge(one, into=into, examples=False, policy="never") == ["equal seed0"]
    # With them, another record.
    assert merge(one, into=into) == ["kept seed0"]
    assert merge(one, into=into, policy="always") == ["replaced seed0"]
    assert content(into) == before


@pytest.fixture
def two_of_one_run(
    tmp_path: Path,
    write: Write,
    make_record: MakeRecord,
    scores: pd.DataFrame,
    examples: list[Example],
) -> tuple[Path, Path]:
    """The same run on two machines: other scores, another device, examples on one side only."""
    here, there = tmp_path / "here", tmp_path / "there"
    write(examples=examples, folder=here)
    other = make_record(device="NVIDIA H200")
    write_record(there, other, scores.assign(dsc=[80.0, 80.12345678901234]))
    write(seed=1, folder=there)
    return here, there


def test_only_missing_keeps_existing_records_and_says_how_others_differ(two_of_one_run):
    here, there = two_of_one_run
    before = content(here)
    steps, problems = plan_merge([there], here)
    assert [(step.action, step.conflict) for step in steps] == [
        ("kept", "they differ in device, per_image, examples"),
        ("copied", None),
    ]
    assert problems == []
    assert content(here) == before, "planning writes nothing"
    for step in steps:
        apply_step(step)
    after = content(here)
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 2


def test_always_replaces_the_run_with_all_that_belongs_to_it(two_of_one_run):
    here, there = two_of_one_run
    assert merge(there, into=here, policy="always") == ["replaced seed0", "copied seed1"]
    assert content(here) == content(there), "the examples of the other are gone"


def test_never_refuses_before_anything_is_copied(two_of_one_run):
    here, there = two_of_one_run
    before = content(here)
    with pytest.raises(InputError, match=r"here/.*seed0\.json: there already, .*differ in device"):
        plan_merge([there], here, "never")
    assert content(here) == before


@pytest.mark.parametrize(("policy", "kept"), [("only-missing", "here"), ("always", "there")])
def test_sources_that_contradict_each_other_follow_the_policy(
    tmp_path, two_of_one_run, policy, kept
):
    here, there = two_of_one_run
    into = tmp_path / "into"
    action = {"only-missing": "kept", "always": "replaced"}[policy]
    assert merge(here, there, into=into, policy=policy) == [
        "copied seed0",
        f"{action} seed0",
        "copied seed1",
    ]
    place = path_of(read_results(here)[0][0])
    assert read_record(into / place) == read_record(tmp_path / kept / place)
    with pytest.raises(InputError, match="there already"):
        plan_merge([here, there], tmp_path / "new", "never")
    assert not (tmp_path / "new").exists()


def test_a_damaged_record_in_the_target_is_a_conflict_and_can_be_replaced(tmp_path, write):
    whole = write(folder="a")
    broken = write(folder="b")
    broken.write_bytes(b"{")
    steps, _ = plan_merge([tmp_path / "a"], tmp_path / "b")
    assert steps[0].action == "kept"
    assert "not a JSON file" in steps[0].conflict
    assert merge(tmp_path / "a", into=tmp_path / "b", policy="always") == ["replaced seed0"]
    assert read_record(broken) == read_record(whole)


def test_incomplete_results_are_named_and_not_copied(tmp_path, write, examples):
    source, into = tmp_path / "source", tmp_path / "into"
    paths = [write(seed=k, examples=examples, folder=source) for k in range(3)]
    paths[0].write_bytes(paths[0].read_bytes()[:50])
    paths[1].with_suffix(".examples.npz").write_bytes(b"")
    steps, problems = plan_merge([source], into)
    assert [step.source for step in steps] == [paths[2]]
    assert len(problems) == 2
    assert "seed0.json: not a JSON file" in problems[0]
    assert "seed1.json: key 'examples.sha256'" in problems[1]


def test_folders_that_cannot_be_merged_are_refused(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    with pytest.raises(InputError, match="merge into a folder of its own"):
        plan_merge([source], source / "all")
    with pytest.raises(InputError, match="merge into a folder of its own"):
        plan_merge([source], tmp_path)
    with pytest.raises(InputError, match="absent: no such folder of results"):
        plan_merge([tmp_path / "absent"], tmp_path / "into")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: not a folder"):
        plan_merge([source], tmp_path / "file")
    with pytest.raises(InputError, match="unknown policy 'sometimes'"):
        plan_merge([source], tmp_path / "into", "sometimes")


def test_an_interrupted_copy_leaves_no_record(tmp_path, write, monkeypatch):
    source = write(folder="a")
    target = write(device="other", folder="b")
    step = MergeStep(source, target, "replaced")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            apply_step(step)
    assert not target.exists()
    apply_step(step)
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_a_source_that_changes_after_planning_is_detected(tmp_path, write):
    source = write(folder="a")
    (step,), _ = plan_merge([tmp_path / "a"], tmp_path / "b")
    source.with_suffix(".csv").write_text("image,dsc\n")
    with pytest.raises(InputError, match=r"a/.*seed0\.json: has changed since the merge"):
        apply_step(step)
    assert not (tmp_path / "b").exists()

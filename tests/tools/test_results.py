"""The command line for result files: validate, show, compare, merge."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from record_values import make_record, metric

from benchmark.results import path_of, read_record, read_results, write_record
from benchmark.text import visible

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "results.py"
CONFIG = {"lr": 2e-4, "model": {"widths": [8, 16]}, "seed": 0}
PLACE = "journal/mae/arcade_v"


def write(folder: Path, dsc: float = 80.0, **changes: object) -> Path:
    """A record of two images below `folder`, with the scores that give its metric."""
    values = {
        "title": "MAE [a]",
        "metrics": {
            "dsc": metric(dsc, "dsc/per-image-mean/v1"),
            "pooled": metric(12.5, "dsc/pooled/v1", headline=False),
        },
        "n_images": 2,
        "config": CONFIG,
        "versions": {"python": "3.11.7"},
        "finished": "2025-01-02T03:04:05+00:00",
        "started": "2025-01-02T03:04:04+00:00",
        "command": "finetune.py --method mae",
        "git": {"commit": "abcdef0123456789", "dirty": True},
    }
    scores = pd.DataFrame({"image": ["a", "b"], "dsc": [dsc, dsc]})
    return write_record(folder, make_record(**{**values, **changes}), scores)


@pytest.fixture
def results(run_tool, monkeypatch):
    """The tool with these arguments, in a folder."""

    def run(*arguments, cwd=ROOT):
        monkeypatch.chdir(cwd)
        return run_tool(TOOL, *arguments)

    return run


def test_every_file_at_fault_is_named_once(tmp_path, results):
    seeds = [write(tmp_path, seed=seed) for seed in range(8)]
    seeds[0].write_text("{")
    seeds[1].write_bytes(seeds[1].read_bytes()[:200])
    seeds[2].write_text('{"results": {"acc,none": 0.5}, "schema": 7}')
    moved = seeds[3].with_name("seed30.json")
    seeds[3].rename(moved)
    seeds[3].with_suffix(".csv").rename(moved.with_suffix(".csv"))
    seeds[4].with_suffix(".csv").unlink()
    write(tmp_path / "copy", seed=5)
    seeds[6].unlink()
    done = results("validate", tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert lines[-1] == "complete records: 2, problems: 7"
    expected = [
        f"copy/{PLACE}/seed5.json: a second record of the run {PLACE}/seed5.json",
        f"{PLACE}/seed0.json: not a JSON file",
        f"{PLACE}/seed1.json: not a JSON file",
        f"{PLACE}/seed2.json: key 'schema' must be 1, found 7; update the benchmark",
        f"{PLACE}/seed30.json: key 'per_image.file': seed30.csv is missing beside it",
        f"{PLACE}/seed4.json: key 'per_image.file': seed4.csv is missing beside it",
        f"{PLACE}/seed6.csv: per-image scores without a record",
    ]
    assert len(lines) - 1 == len(expected)
    for line, start in zip(lines, expected):
        assert line.startswith(start)


def test_a_folder_is_shown_as_a_table(tmp_path, results):
    write(tmp_path, 81.25)
    write(tmp_path, method="vasomim", seed=12, git=None)
    write(tmp_path, seed=1).write_text("{")
    done = results("show", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split() for line in done.stdout.splitlines() if "journal" in line]
    # A + marks code that differed from its commit; only headline metrics are shown.
    assert rows == [
        ["journal", "mae", "arcade_v", "0", "dsc", "81.25", "2025-01-02", "03:04", "abcdef0+"],
        ["journal", "vasomim", "arcade_v", "12", "dsc", "80.00", "2025-01-02", "03:04", "—"],
    ]
    assert "2 records\n1 files or folders skipped" in done.stdout


def test_a_record_is_shown_with_all_that_is_known_of_it(tmp_path, results):
    path = write(tmp_path, 81.123456789012345)
    done = results("show", path)
    assert (done.returncode, done.stderr) == (0, "")
    shown = [" ".join(line.split()) for line in done.stdout.splitlines()]
    record = read_record(path)
    for line in (
        "title: MAE [a]",
        f"value: {record.metrics['dsc'].value!r}",
        "definition: dsc/pooled/v1",
        f"config_hash: {record.config_hash}",
        "command: finetune.py --method mae",
        "started: 2025-01-02T03:04:04+00:00",
        "commit: abcdef0123456789",
        "dirty: true",
        f"sha256: {record.per_image.sha256}",
        "python: 3.11.7",
        '"lr": 0.0002,',
    ):
        assert line in shown
    assert not any(line.startswith("peak_memory_mb") for line in shown), "was not measured"


def test_results_of_two_machines_are_merged(tmp_path, results):
    one, two, into = (tmp_path / name for name in ("one", "two", "into"))
    for folder, device, seeds in ((one, "cpu", (0, 1)), (two, "NVIDIA H200", (1, 2))):
        for seed in seeds:
            write(folder, 80.0 + len(device), device=device, seed=seed)
    done = results("merge", one, two, "--into", into)
    assert (done.returncode, done.stderr) == (1, "")
    target = into / PLACE / "seed1.json"
    source = two / PLACE / "seed1.json"
    assert done.stdout.splitlines() == [
        f"{target}: kept, {source} is a different record "
        "(they differ in metrics, device, per_image)",
        f"{into}: 3 copied, 0 already there, 0 replaced, 1 kept, 0 skipped",
    ]
    assert read_record(target).device == "cpu"
    done = results("merge", two, "--into", into, "--policy", "never")
    assert done.refusal.startswith(f"error: {target}: there already, and {source} is another")
    assert read_record(target).device == "cpu"
    done = results("merge", two, "--into", into, "--policy", "always")
    assert done.returncode == 0
    assert done.stdout.endswith("0 copied, 1 already there, 1 replaced, 0 kept, 0 skipped\n")
    assert read_record(target).device == "NVIDIA H200"
    assert [path_of(r).stem for r in read_results(into)[0]] == ["seed0", "seed1", "seed2"]


def test_what_cannot_be_merged_is_named(tmp_path, results):
    write(tmp_path / "one").write_text("{")
    done = results("merge", "one", "--into", "into", cwd=tmp_path)
    assert done.returncode == 1
    first, last = done.stdout.splitlines()
    assert first.startswith(f"skipped: one: {PLACE}/seed0.json: not a JSON file")
    assert last == "into: 0 copied, 0 already there, 0 replaced, 0 kept, 1 skipped"


@pytest.mark.parametrize("command", ["validate", "merge", "show"])
def test_a_folder_that_cannot_be_listed_is_named_and_the_exit_code_says_so(
    tmp_path, run_tool, refuse_listing, command
):
    source, into = tmp_path / "results", tmp_path / "into"
    write(source)
    write(source, method="vasomim")
    arguments = (source, "--into", into) if command == "merge" else (source,)
    assert run_tool(TOOL, command, *arguments)[0] == 0
    refuse_listing(source / "journal" / "vasomim", errno.EACCES)
    done = run_tool(TOOL, command, *arguments)
    assert (done.returncode, done.stderr) == (1, "")
    line = f"journal/vasomim: cannot be listed ({os.strerror(errno.EACCES)})"
    assert {
        "validate": f"{line}\ncomplete records: 1, problems: 1\n",
        "merge": f"skipped: {source}: {line}\n",
        "show": "1 records\n1 files or folders skipped",
    }[command] in done.stdout


def test_what_a_record_says_of_itself_is_shown_and_not_obeyed(tmp_path, results):
    evil, shown = "\x1b[2J\u202e=1\nb", r"\x1b[2J\u202e=1\nb"
    path = write(tmp_path, title=evil, device=evil, git={"commit": evil, "dirty": False})
    for target in (path, tmp_path):
        done = results("show", target)
        assert (done.returncode, done.stderr) == (0, "")
        assert all(visible(line) == line for line in done.stdout.split("\n"))
    lines = [" ".join(line.split()) for line in results("show", path).stdout.splitlines()]
    assert {f"title: {shown}", f"device: {shown}", f"commit: {shown}"} < set(lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("validate", "absent"), "absent: no such folder of results"),
        (("show", "absent"), "absent: no such folder of results"),
        (("merge", "absent", "--into", "x"), "absent: no such folder of results"),
        (("merge", ".", "--into", "x"), "merge into a folder of its own"),
        (("show", "notes.json"), "notes.json: not a JSON file"),
    ],
)
def test_bad_input_is_one_line_and_code_two(tmp_path, arguments, message, results):
    (tmp_path / "notes.json").write_text("-")
    done = results(*arguments, cwd=tmp_path)
    assert message in done.refusal
    assert [path.name for path in tmp_path.iterdir()] == ["notes.json"]


def test_no_library_of_numbers_is_loaded_for_records_without_examples(tmp_path):
    write(tmp_path)
    code = (
        "import runpy, sys\n"
        f"sys.path.insert(0, {str(TOOL.parent)!r})\n"
        f"sys.argv = ['results.py', 'validate', {str(tmp_path)!r}]\n"
        "try:\n"
        f"    runpy.run_path({str(TOOL)!r}, run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert not end.code\n"
        "assert not {'torch', 'pandas', 'numpy', 'scipy'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_compare_says_what_moved(tmp_path, results):
    for seed in range(4):
        write(tmp_path / "a", 80 + seed / 10, seed=seed)
        write(tmp_path / "b", 80 + seed / 10, seed=seed)
    done = results("compare", tmp_path / "a", tmp_path / "b")
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 equal\n" in done.stdout
    write(tmp_path / "c", 90, seed=0)
    write(tmp_path / "c", 70, seed=0, method="hpm")
    (tmp_path / "c" / "journal" / "mae" / "arcade_v" / "seed5.json").write_text("{")
    done = results("compare", tmp_path / "a", tmp_path / "c")
    assert done.returncode == 1
    assert "1 moved, 1 only in B\n" in done.stdout
    assert "skipped: " in done.stdout
    assert "seed5.json" in done.stdout
    # Single runs that differ: nobody knows whether by more than noise, so nothing was repeated.
    write(tmp_path / "one", 80, seed=0)
    write(tmp_path / "other", 70, seed=0)
    done = results("compare", tmp_path / "one", tmp_path / "other")
    assert (done.returncode, "1 noise unknown\n" in done.stdout) == (1, True)


def test_nothing_to_compare_is_no_success(tmp_path, results):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    done = results("compare", tmp_path / "a", tmp_path / "b")
    assert done.returncode == 2
    assert done.stderr == f"error: neither {tmp_path}/a nor {tmp_path}/b has result files\n"

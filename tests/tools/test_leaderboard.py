import importlib.util
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from benchmark.engine.records import RunRecord, record_path, science_hash, write_record

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "leaderboard.py"


def write_run(folder: Path, method: str, seed: int, dsc: float, **changes) -> Path:
    config = {"epochs": 1}
    values = {
        "protocol": "demo",
        "method": method,
        "title": method.upper(),
        "family": "General SSL",
        "pretraining": "synthetic",
        "dataset": "arcade_v",
        "task": "segmentation",
        "seed": seed,
        "split_hash": "5e1f",
        "corpus_hash": None,
        "metrics": {"dsc": {"value": dsc, "definition": "dsc/v1", "higher_is_better": True}},
        "n_images": 1,
        "config": config,
        "science_hash": science_hash(config),
        "seeds": {},
        "versions": {},
        "device": "cpu",
        "wall_time_s": 1.0,
        "finished": "2025-01-02T03:04:05",
    }
    scores = pd.DataFrame({"image": ["a"], "dsc": [dsc]})
    return write_record(folder, RunRecord(**{**values, **changes}), scores)


def call_alone(*arguments: object, **options) -> subprocess.CompletedProcess:
    """The tool as its users start it: a process of its own."""
    command = [sys.executable, str(TOOL), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@pytest.fixture
def call(monkeypatch, capsys):
    """The tool in this process, which saves the imports of every further one."""
    monkeypatch.syspath_prepend(TOOL.parent)
    spec = importlib.util.spec_from_file_location("leaderboard_tool", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)

    def run(*arguments: object) -> subprocess.CompletedProcess:
        monkeypatch.setattr(sys, "argv", [str(TOOL), *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            tool.run(tool.main)
        return subprocess.CompletedProcess(arguments, end.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    for seed, (mae, mim) in enumerate(zip([70.0, 71.0, 70.4], [80.0, 81.2, 80.1])):
        write_run(folder, "mae", seed, mae)
        write_run(folder, "mim", seed, mim)
    return folder


def test_two_runs_write_the_same_bytes_from_any_folder(call, results, tmp_path):
    first = call("--results", results, "--out", tmp_path / "a", "--title", "Demo")
    assert (first.returncode, first.stderr) == (0, "")
    # As with an editable install, the script's own folder, where `leaderboard` is the script, is
    # in front of the root on the import path.
    options = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(ROOT)}}
    second = call_alone("--results", "results", "--out", "b", "--title", "Demo", **options)
    assert (second.returncode, second.stderr) == (0, "")
    assert second.stdout == first.stdout
    for name in ("leaderboard.md", "leaderboard.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    # Not a terminal: what is printed is the file.
    text = (tmp_path / "a" / "leaderboard.md").read_text()
    assert first.stdout == text
    assert text.startswith("# Demo\n")
    assert "## Paired t-test against MAE" in text


def test_a_damaged_file_is_named_and_left_out(call, results, tmp_path):
    record_path(results, "demo", "mim", "arcade_v", 2).write_text('{"schema": 1, "prot')
    done = call("--results", results, "--out", tmp_path)
    assert done.returncode == 0
    assert "Left out: demo/mim/arcade_v/seed2.json: not a JSON file" in done.stdout
    assert "Missing seeds of MIM: arcade_v DSC 2." in done.stdout


def test_a_reference_without_results(call, results, tmp_path):
    done = call("--results", results, "--out", tmp_path, "--reference", "dino")
    assert done.returncode == 0
    assert "The reference dino has no results here, so nothing is tested." in done.stdout
    assert "Paired t-test against" not in done.stdout


def test_several_protocols_need_a_choice(call, results, tmp_path):
    write_run(results, "mae", 0, 60.0, protocol="aaai", split_hash="other")
    done = call("--results", results, "--out", tmp_path)
    assert done.returncode == 2
    assert "choose with --protocol: aaai, demo" in done.stderr
    done = call("--results", results, "--out", tmp_path, "--protocol", "aaai")
    assert done.returncode == 0
    assert "Protocol: aaai" in done.stdout
    done = call("--results", results, "--out", tmp_path, "--protocol", "journal")
    assert (done.returncode, "known: aaai, demo" in done.stderr) == (2, True)


def test_out_has_to_be_a_folder(call, results, tmp_path):
    (tmp_path / "file").write_text("")
    done = call("--results", results, "--out", tmp_path / "file")
    assert (done.returncode, "--out has to be a folder" in done.stderr) == (2, True)


def absent(folder: Path) -> str:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    folder.rmdir()
    return "no such folder"


def empty(folder: Path) -> str:
    absent(folder)
    folder.mkdir()
    return "no result files"


def broken(folder: Path) -> str:
    for path in folder.rglob("*.json"):
        path.write_text("{")
    return "no result files (6 left out, first demo/mae/arcade_v/seed0.json"


def mixed(folder: Path) -> str:
    write_run(folder, "mim", 1, 81.2, split_hash="abcd")
    return (
        "arcade_v: split hashes must not mix: 5e1f in demo/mae/arcade_v/seed0.json, "
        "abcd in demo/mim/arcade_v/seed1.json"
    )


@pytest.mark.parametrize("spoil", [absent, empty, broken, mixed])
def test_unusable_results_end_with_one_line_and_code_2(call, results, tmp_path, spoil):
    words = spoil(results)
    out = tmp_path / "out"
    done = call("--results", results, "--out", out)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
    assert not out.exists()


def test_a_terminal_gets_drawn_tables(results, tmp_path):
    master, slave = pty.openpty()
    command = [sys.executable, str(TOOL), "--results", str(results), "--out", str(tmp_path)]
    environment = {**os.environ, "COLUMNS": "160", "TERM": "xterm"}
    with subprocess.Popen(command, stdout=slave, stderr=slave, env=environment) as process:
        os.close(slave)
        shown = b""
        while True:
            try:
                block = os.read(master, 65536)
            except OSError:  # how Linux says that the other end is closed
                break
            if not block:
                break
            shown += block
    os.close(master)
    text = shown.decode()
    assert process.returncode == 0, text
    assert "━" in text
    assert "80.43 ± 0.67" in text
    assert "[1]" in text, "rich must not take the rank for markup"
    assert "| MIM |" not in text


def test_help_is_immediate_and_torch_is_never_imported(results, tmp_path):
    start = time.perf_counter()
    assert call_alone("--help").returncode == 0
    # Half a second is the aim; the slack is for a loaded machine.
    assert time.perf_counter() - start < 1.5
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['leaderboard', '--results', {str(results)!r}, '--out', {str(tmp_path)!r}]\n"
        f"sys.path.insert(0, {str(TOOL.parent)!r})\n"
        "try:\n"
        f"    runpy.run_path({str(TOOL)!r}, run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0, end.code\n"
        "assert 'leaderboard.board' in sys.modules\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

"""The command line of the sweep, and once all of it with the real tools."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from benchmark.files import sha256_file

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("size=96", "patients=3", "videos=1", "frames=4", "first_frame=2")


def tool(*arguments: object, name: str = "matrix.py") -> subprocess.CompletedProcess[str]:
    start = ["bash"] if name.endswith(".sh") else [sys.executable]
    command = [*start, str(ROOT / "tools" / name), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHON": sys.executable}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, timeout=600
    )


def config(folder: Path, **changes: str) -> Path:
    values = {
        "title": "'Test'",
        "scale": "'tiny'",
        "work": repr(str(folder / "work")),
        "methods": "('frangi',)",
        "datasets": "('synthetic_v',)",
        "seeds": "(0, 1)",
        "reference": "'frangi'",
        **changes,
    }
    path = folder / "m.py"
    path.write_text("".join(f"{key} = {value}\n" for key, value in values.items()))
    return path


def test_only_the_process_that_resolves_configs_imports_torch():
    code = (
        "import sys\n"
        "from benchmark.sweep import config_cache, execution, plan, report, worker\n"
        'sys.exit(f\'{sys.modules.keys() & {"torch", "mmengine", "pandas"}}\')\n'
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr == "set()\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("absent.py",), "absent.py: no such config"),
        (("CONFIG", "--methods", "unet"), "--methods unet: not in m; known: frangi"),
        (("CONFIG", "--datasets", "xcav"), "--datasets xcav: not in m"),
        (("CONFIG", "--datasets", "synthetic_v-10pct"), "synthetic_v-10pct: not in m"),
        (("CONFIG", "--work", "a\nb"), "/a\\nb': a line break, another control character"),
        (("CONFIG", "--work", "a\udcffb"), "/a\\udcffb': a line break, another control character"),
        (("CONFIG", "--work=-x"), "folder '-x': begins with a dash"),
    ],
)
def test_bad_input_is_one_line_and_code_two(run_tool, tmp_path, arguments, message):
    path = str(config(tmp_path))
    words = [path if word == "CONFIG" else word for word in arguments]
    matrix = partial(run_tool, ROOT / "tools" / "matrix.py")
    for done in (matrix("status", *words), matrix("run", *words, "--dry-run")):
        assert message in done.refusal
    assert not (tmp_path / "work").exists()


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("snakemake") is None, reason="snakemake needs Python 3.11 or newer"
)
def test_a_sweep_of_real_cells_from_its_plan_to_its_board(tmp_path):
    """The hashes the plan expects are those that fine-tuning writes."""
    work = tmp_path / 'it\'s {a} $HOME: "#1" café'
    changes = {"work": repr(str(work)), "datasets": "('synthetic_v', 'synthetic_v-50pct')"}
    changes["jobs"] = "2"
    path = config(tmp_path, **changes)
    out = work / "downstream" / "synthetic_v"
    options = ("--as", "segmentation", "--out", out, "--option", *SMALL)
    made = tool("synthetic", *options, name="prepare_data.py")
    assert made.returncode == 0, made.stderr
    files = {file: sha256_file(file) for file in work.rglob("*") if file.is_file()}
    dry = tool(path, "--dry-run", name="run_benchmark.sh")
    assert "simple estimate" in dry.stdout
    assert {file: sha256_file(file) for file in work.rglob("*") if file.is_file()} == files

    done = tool(path, "--device", "cpu", name="run_benchmark.sh")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Provided cores: 2" in (work / "sweep" / "snakemake.log").read_text(encoding="utf-8")
    assert (work / "leaderboard.md").is_file()
    records = sorted((work / "results").rglob("seed*.json"))
    assert [record.stem for record in records] == ["seed0", "seed1"] * 2
    assert {record.parent.name for record in records} == {"synthetic_v", "synthetic_v-50pct"}
    times = [record.stat().st_mtime_ns for record in records]
    again = tool(path, name="run_benchmark.sh")
    assert again.returncode == 0, again.stderr
    assert [record.stat().st_mtime_ns for record in records] == times
    status = tool("status", path)
    assert "4 done, 0 running, 0 failed, 0 stale, 0 missing" in status.stdout
    assert "synthetic_v-50pct" in status.stdout

    # Other settings: stale, reported, and left alone.
    config(tmp_path, **changes, finetune_options="('score_at=network',)")
    changed = tool(path, name="run_benchmark.sh")
    assert changed.returncode == 1
    assert "4 stale; --rerun-stale replaces them" in changed.stdout
    assert [record.stat().st_mtime_ns for record in records] == times

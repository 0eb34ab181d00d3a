"""Neither a lost screen nor leftover variables of a launcher change how a tool ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import faults
import pytest
from forking import CASES

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = {
    **{name: command for name, command in faults.WRITERS.items() if name != "matrix"},
    "validate": ("results", "validate", "{results}"),
    "records": ("results", "show", "{results}"),
    "list": ("list", "methods"),
    "matrix": ("matrix", "run", "--help"),
    "refused": ("results", "show", "{out}/nothing"),
}

#: These commands take turns at the cases; all have all of them when slow tests are asked for.
QUICK = ("train", "pack", "board", "merge", "records", "list", "refused")
ENDS = [
    pytest.param(
        *(case, name),
        marks=()
        if name in QUICK and (QUICK.index(name) + column) % len(CASES) == 0
        else pytest.mark.slow,
    )
    for name in COMMANDS
    for column, case in enumerate(CASES)
]

#: Tools whose output is what they are for.
PRINTERS = ("list", "results", "leaderboard", "check")


@pytest.fixture(scope="module")
def ends(request, assets: dict[str, Path], tmp_path_factory: pytest.TempPathFactory):
    """Exit code and stderr of the commands and cases that were asked for."""
    folder = tmp_path_factory.mktemp("streams")
    calls = [
        item.callspec.params
        for item in request.session.items
        if item.originalname == "test_every_tool_ends_as_always"
    ]
    keys = [(call["case"], call["name"]) for call in calls]
    jobs = []
    for number, (case, name) in enumerate(keys):
        tool, *arguments = COMMANDS[name]
        out = folder / f"{number}-{name.replace(' ', '-')}"
        places = {**assets, "out": out, "spare": folder}
        words = [argument.format_map(places) for argument in arguments]
        jobs.append({"tool": tool, "arguments": words, "case": case, "errors": f"{out}.stderr"})
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("forking.py"))],
        input=json.dumps(jobs),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
    )
    errors = [Path(job["errors"]).read_text() for job in jobs]
    return dict(zip(keys, zip([code for code, _ in json.loads(done.stdout)], errors)))


@pytest.mark.parametrize(("case", "name"), ENDS)
def test_every_tool_ends_as_always(ends, name, case):
    code, errors = ends[case, name]
    assert "Traceback" not in errors
    lost = case == "ASCII on a full disk" and COMMANDS[name][0] in PRINTERS
    assert code == (2 if name == "refused" or lost else 0), errors
    if name == "refused" and case != "no streams":
        assert errors.startswith("error: "), "also for a rank that is none"
    if case == "ASCII on a full disk" and name == "list":
        assert errors == "warning: stdout is lost from here on (No space left on device)\n"


@pytest.mark.slow
def test_a_pipe_that_closes_early_does_not_end_the_training(assets, tmp_path):
    """As `tools/train.py … | head -1`, in a shell."""
    words = [word.format_map({**assets, "out": tmp_path / "run"}) for word in faults.TRAIN]
    command = [sys.executable, f"tools/{words[0]}.py", *words[1:], "epochs=4", "log_interval=1"]
    shell = 'set -o pipefail; "$@" | head -1'
    done = subprocess.run(
        ["bash", "-c", shell, "bash", *command], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    assert "finished" in json.loads((tmp_path / "run" / "run.json").read_text())

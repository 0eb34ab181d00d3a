"""Killed at any moment and started again, every tool ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import faults
import pytest

KILLS = 8
#: Each with arguments that make it long enough to be hit in the middle.
COMMANDS = {
    "train": (*faults.TRAIN, "epochs=6", "--resume"),
    "segmentation": (
        *("finetune", "--method", "unet", "--dataset", "synthetic_v", "--scale", "tiny"),
        *("--data", "{task}", "--work", "{out}", "--cfg-options", "epochs=4", "batch_size=2"),
        "checkpoint_interval=1",
    ),
    "pack": tuple(word.replace("videos=1", "videos=4") for word in faults.WRITERS["pack"]),
    "task": faults.WRITERS["task"],
    "anatomy": ("extract_anatomy", "{out}/pack", "--batch", "1"),
    "board": faults.WRITERS["board"],
    "merge": faults.WRITERS["merge"],
    "export": faults.WRITERS["export"],
}

Run = Callable[..., list[tuple[int, float]]]


@pytest.fixture
def forked(assets: dict[str, Path], tmp_path: Path) -> Run:
    """Run jobs one after the other in children of one process: `(out, seconds until the kill)`."""

    def run(name: str, jobs: list[tuple[Path, float | None]]) -> list[tuple[int, float]]:
        tool, *arguments = COMMANDS[name]
        described = []
        for out, seconds in jobs:
            places = {**assets, "out": out, "spare": tmp_path}
            words = [argument.format_map(places) for argument in arguments]
            job = {"tool": tool, "arguments": words, "errors": str(tmp_path / "stderr")}
            described.append({**job, "kill_after": seconds})
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("forking.py"))],
            input=json.dumps(described),
            capture_output=True,
            text=True,
            cwd=faults.ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=True,
        )
        return json.loads(done.stdout)

    return run


def names(folder: Path) -> set[str]:
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return {path for path in paths if "mmengine" not in path}


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_any_moment(forked, assets, tmp_path, name):
    """The same bytes as without a kill, and not one file more."""
    outs = [tmp_path / f"{number}" / "out" for number in range(KILLS + 2)]
    for out in outs:
        out.parent.mkdir()
        if name == "anatomy":
            shutil.copytree(assets["pack"], out / "pack")
            os.unlink(out / "pack" / "anatomy.u1")
            manifest = json.loads((out / "pack" / "manifest.json").read_text())
            del manifest["anatomy"]
            (out / "pack" / "manifest.json").write_text(json.dumps(manifest))
    warm, alone, *killed = outs
    # The first one compiles and imports what the others find done.
    assert [code for code, _ in forked(name, [(warm, None)])] == [0]
    ((code, seconds),) = forked(name, [(alone, None)])
    assert code == 0
    moments = random.Random(name)
    jobs = [(out, moments.uniform(0.05, 0.98) * seconds) for out in killed]
    ends = [code for code, _ in forked(name, jobs)]
    assert ends.count(-9) >= KILLS - 3, ends
    again = forked(name, [(out, None) for out, end in zip(killed, ends) if end])
    assert {code for code, _ in again} <= {0}, (tmp_path / "stderr").read_text()
    for out, end in zip(killed, ends):
        assert names(out.parent) == names(alone.parent), f"ended with {end}"
        assert faults.content(out.parent) == faults.content(alone.parent), f"ended with {end}"

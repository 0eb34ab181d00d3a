"""Two processes that write the same: one does, the other is told who does and ends with code 2."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import faults
import pytest

from benchmark.files.locking import LOCK

HOLD = """
import sys
from pathlib import Path
from benchmark.files.locking import hold
lock = Path(sys.argv[1])
lock.parent.mkdir(parents=True, exist_ok=True)
with hold(lock, lock, "held"):
    print(flush=True)
    sys.stdin.read()
"""

#: Where the lock of each tool is that writes more than one file.
LOCKS: dict[str, Callable[[Path], Path]] = {
    **dict.fromkeys(("train", "convert", "board", "merge"), lambda out: out / LOCK),
    **dict.fromkeys(
        ("pack", "task", "detection", "raw", "export"),
        lambda out: out.with_name(f".{out.name}.lock"),
    ),
    "finetune": lambda out: out / "frangi" / "finetune" / "synthetic_v" / "seed0" / LOCK,
}


@pytest.mark.parametrize("name", LOCKS)
def test_the_second_one_writes_nothing(call, tmp_path, name):
    out = tmp_path / "out"
    lock = LOCKS[name](out)
    command = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        first.stdout.readline()
        done = call(faults.WRITERS[name], out)
        assert done.returncode == 2, done
        assert done.stderr.count("\n") == 1
        for words in ("error: ", " is being ", f"by process {first.pid} on ", "wait until"):
            assert words in done.stderr
        assert "--resume" not in done.stderr
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert files == [lock]
        first.communicate()
    done = call(faults.WRITERS[name], out)
    assert done.returncode == 0, done.stderr
    assert not lock.exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train", "finetune", "pack", "task", "merge", "board", "export"])
def test_of_two_started_together_the_result_is_that_of_one(assets, tmp_path, name):
    """Byte for byte, whichever wins, and whether or not the other one came too late to notice."""
    tool, *arguments = faults.WRITERS[name]

    def start(out: Path) -> subprocess.Popen[str]:
        words = [argument.format_map({**assets, "out": out}) for argument in arguments]
        return subprocess.Popen(
            [sys.executable, str(faults.ROOT / "tools" / f"{tool}.py"), *words],
            cwd=faults.ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    alone = start(tmp_path / "alone" / "out")
    assert alone.wait(300) == 0, alone.communicate()
    for attempt in range(4):
        both = [start(tmp_path / f"both{attempt}" / "out") for _ in range(2)]
        ends = [(process.communicate(timeout=300), process.returncode) for process in both]
        assert 0 in [code for _, code in ends], ends
        for (_, errors), code in ends:
            if code:
                assert code == 2, errors
                # The other was at it, or has finished what this one was not told to replace.
                words = (
                    "is being",
                    "by another process",
                    "is there already",
                    "holds a finished run",
                )
                assert any(word in errors for word in words), errors
        assert faults.content(tmp_path / f"both{attempt}") == faults.content(tmp_path / "alone")

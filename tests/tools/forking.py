"""Run tools in forked children of one process that has loaded the libraries already.

Reads a JSON list of arguments of `child` from stdin, writes the exit codes and the seconds.
"""

from __future__ import annotations

import io
import json
import os
import runpy
import signal
import sys
import time
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def _closed(*numbers: int) -> None:
    """As a process finds its streams that was started with ``>&-``."""
    for number in numbers:
        name = ("stdin", "stdout", "stderr")[number]
        os.close(number)
        setattr(sys, name, None)
        setattr(sys, f"__{name}__", None)


def _stdout(number: int, encoding: str = "utf-8") -> None:
    os.dup2(number, 1)
    raw = io.BufferedWriter(io.FileIO(1, "w", closefd=False))
    sys.stdout = sys.__stdout__ = io.TextIOWrapper(raw, encoding=encoding)


def _pipe_without_reader() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    _stdout(writer)


#: What is done to the streams, and variables that something else has left.
CASES = {
    "pipe without a reader": (_pipe_without_reader, {"RANK": "1"}),
    "ASCII on a full disk": (
        lambda: _stdout(os.open("/dev/full", os.O_WRONLY), "ascii"),
        {"RANK": "0", "WORLD_SIZE": "1"},
    ),
    "no streams": (lambda: _closed(0, 1, 2), {"LOCAL_RANK": "1"}),
}


def child(
    tool: str,
    arguments: list[str],
    errors: str,
    case: str | None = None,
    kill_after: float | None = None,
) -> tuple[int, float]:
    """Exit code of a tool, and how long it took.

    Args:
        tool, arguments: what to run.
        errors: file that stderr goes to.
        case: one of `CASES`.
        kill_after: seconds until it and all of its children are killed.
    """
    start = time.perf_counter()
    number = os.fork()
    if number:
        if kill_after is not None:
            time.sleep(kill_after)
            os.killpg(number, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
        return code, time.perf_counter() - start
    os.setsid()
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT), 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if case is not None:
        change, variables = CASES[case]
        change()
        os.environ.update(variables)
    sys.argv = [f"{tool}.py", *arguments]
    code = 1
    try:
        runpy.run_path(str(TOOLS / f"{tool}.py"), run_name="__main__")
    except SystemExit as end:
        code = end.code or 0
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        os._exit(code if isinstance(code, int) else 1)


def main() -> None:
    sys.path.insert(0, str(TOOLS))
    sys.path.insert(0, str(TOOLS.parent))
    from benchmark.openmmlab.quiet import quiet_libraries

    with quiet_libraries():
        # What takes longest to import of what the tools import.
        import matplotlib.pyplot
        import sklearn.manifold

        import benchmark.downstream.finetune
        import benchmark.downstream.frozen.cell
        import benchmark.downstream.prediction.run
        import benchmark.downstream.representation.analysis
        import benchmark.training.train
        import leaderboard.build
    del benchmark, leaderboard, matplotlib, sklearn
    json.dump([child(**job) for job in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()

"""Run a plan: Snakemake schedules its jobs, here or on a cluster; then draw the boards."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmark.errors import InputError
from benchmark.files import walk, write_json
from benchmark.files.locking import OnWait, acquire
from benchmark.sweep.cleanup import PLAN, SNAKEMAKE, clean_up
from benchmark.sweep.config_cache import ROOT, environment_with_root
from benchmark.sweep.gpus import lock_folder
from benchmark.sweep.jobs import failure_path
from benchmark.sweep.plan import Plan
from benchmark.sweep.worker import LOCK, job_description

SNAKEFILE = Path(__file__).with_name("Snakefile")
PROFILES = ROOT / "configs" / "leaderboard" / "profiles"

# Seconds within which the Snakemake of a killed sweep has ended, too.
_PATIENCE = 5.0


def require_snakemake() -> None:
    """Raise an InputError if Snakemake is not installed."""
    if importlib.util.find_spec("snakemake") is None:
        version = ".".join(map(str, sys.version_info[:2]))
        raise InputError(
            f"the sweep runs on snakemake, which this Python {version} does not have: it needs "
            "Python 3.11 or newer (pip install snakemake); --dry-run and status work without"
        )


def run_plan(plan: Plan, profile: Path, jobs: int | None, gpus: list[str] | None) -> int:
    """Run the jobs a plan has chosen; a failure does not stop the others.

    Args:
        plan: what to run.
        profile: folder of a Snakemake profile.
        jobs: how many at once; None: one per GPU, one on a machine without GPUs, or as many as the
            profile of a cluster says.
        gpus: GPUs of this machine to lend; None where a cluster assigns them.

    Returns:
        Snakemake's exit code: 0 if every job ended with its result.

    Raises:
        InputError: Snakemake or its profile is missing, another sweep runs in the same folder, the
            folder for the locks of GPUs is not private, or a cluster cannot use the folder's name.
    """
    require_snakemake()
    if not profile.is_dir():
        raise InputError(f"{profile}: no such folder of a Snakemake profile")
    if gpus:
        lock_folder()
    folder = plan.folder.absolute()
    if gpus is None and not re.fullmatch(r"[\w@+=,./-]+", str(folder)):
        raise InputError(
            f"{folder}: a cluster's jobs are submitted through several shells; the path of their "
            "folder may have letters, digits and _@+=,.- only"
        )
    folder.mkdir(parents=True, exist_ok=True)
    if not os.path.samefile(folder / "..", plan.matrix.folder):
        raise InputError(f"{plan.folder}: must not be a link; link {plan.matrix.folder} instead")
    with acquire(folder / LOCK, _refuse_after(_PATIENCE, plan)) as lock:
        clean_up(plan)
        try:
            _describe(plan, jobs, gpus, folder)
            command = _snakemake(profile, jobs, gpus, folder)
            with (folder / "snakemake.log").open("ab") as log:
                # Snakemake inherits the lock: if this process is killed, it ends a moment later.
                child = subprocess.Popen(
                    command,
                    env=environment_with_root(),
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=[lock],
                )
                return _watch(child, plan)
        finally:
            clean_up(plan)


def _refuse_after(seconds: float, plan: Plan) -> OnWait:
    end = time.monotonic() + seconds

    def on_wait(holder: str) -> None:
        if time.monotonic() > end:
            raise InputError(
                f"{plan.folder}: another sweep is running here, {holder}; wait for it, or choose "
                "another --work"
            )

    return on_wait


def _describe(plan: Plan, jobs: int | None, gpus: list[str] | None, folder: Path) -> None:
    """Write the files that Snakemake and the jobs read."""
    width = jobs or len(gpus or ()) or 1
    environment = {}
    if gpus is not None and "OMP_NUM_THREADS" not in os.environ:
        # Jobs side by side share the cores.
        environment["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // width))
    work = plan.matrix.folder
    outputs = {job.id: os.path.join("..", os.path.relpath(job.output, work)) for job in plan.jobs}
    entries: list[dict[str, Any]] = []
    for job in plan.jobs:
        if job.id not in plan.todo:
            continue
        description = Path("jobs", f"{job.id}.json")
        write_json(folder / description, job_description(job, folder, gpus, environment))
        inputs = [outputs[need] for need in job.needs if need in plan.todo]
        entries.append(
            {
                "output": outputs[job.id],
                "inputs": inputs,
                "gpus": job.gpus,
                "description": str(description),
            }
        )
    start = shlex.join([sys.executable, str(ROOT / "tools" / "matrix.py"), "job"])
    write_json(folder / PLAN, {"command": start, "jobs": entries})


def _snakemake(profile: Path, jobs: int | None, gpus: list[str] | None, folder: Path) -> list[str]:
    command = [sys.executable, "-m", "benchmark.sweep.snakemake_child", str(os.getpid())]
    command += ["--snakefile", str(SNAKEFILE), "--profile", str(profile)]
    command += ["--directory", str(folder), "--scheduler", "greedy", "--keep-going"]
    command += ["--runtime-source-cache-path", str(folder / SNAKEMAKE / "sources")]
    # The plan holds exactly what has to be run, whatever the times of the files.
    command += ["--forceall", "--rerun-triggers", "input"]
    # Results are complete or absent and every job has its own lock, so after a killed sweep
    # Snakemake has nothing to unlock or to clean up.
    command += ["--nolock", "--ignore-incomplete", "--keep-incomplete", "--drop-metadata"]
    if gpus is not None:
        command += ["--cores", str(jobs or len(gpus) or 1)]
        if gpus:
            command += ["--resources", f"gpu={len(gpus)}"]
    elif jobs:
        command += ["--jobs", str(jobs)]
    return command


def _watch(child: subprocess.Popen[bytes], plan: Plan) -> int:
    """Show progress until Snakemake ends; a signal stops all jobs."""

    def stop(number: int, _: Any) -> None:
        # As Ctrl-C at a terminal, which signals the complete process group.
        import psutil

        for process in psutil.Process().children(recursive=True):
            process.send_signal(signal.SIGINT)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        with _progress(plan) as show:
            while child.poll() is None:
                show()
                with suppress(subprocess.TimeoutExpired):
                    child.wait(1.0)
            show()
        return child.returncode
    except KeyboardInterrupt:
        # Snakemake and the jobs were interrupted, too, and get the time to stop.
        child.wait()
        raise
    except Exception:
        stop(signal.SIGINT, None)
        child.wait()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _progress(plan: Plan) -> Iterator[Any]:
    """A bar over the jobs, and a line for each that ends."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    left = {job.id: job for job in plan.jobs if job.id in plan.todo}
    console = Console(stderr=True)
    columns = ("sweep", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("sweep", total=len(left))
        # The marker of an earlier failure counts only once the job has been tried again.
        known = {id_: _failed_at(plan, id_) for id_ in left}

        def show() -> None:
            for id_, job in list(left.items()):
                failed = _failed_at(plan, id_)
                if failed not in (None, known[id_]):
                    job.inspect(plan.folder)
                    line = f"failed  {job.title}: {job.reason}"
                elif _changed(job.output, plan_time) and job.compare()[0] == "done":
                    line = f"done    {job.title}"
                else:
                    continue
                del left[id_]
                progress.advance(task)
                progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

        plan_time = time.time() - 1
        yield show


def _failed_at(plan: Plan, job: str) -> float | None:
    path = failure_path(job, plan.folder)
    return path.stat().st_mtime if path.exists() else None


def _changed(path: str, since: float) -> bool:
    return os.path.exists(path) and os.path.getmtime(path) >= since


def draw_boards(plan: Plan, tools: Path) -> list[Path]:
    """Draw the board of every protocol that has results, from whatever exists.

    Returns:
        The folders of the boards.
    """
    drawn = []
    for protocol in plan.protocols:
        folder = plan.results / protocol
        unlisted: list[str] = []  # which the board names
        if not folder.exists() or not (
            any(path.match("seed*.json") for path in walk(folder, unlisted)) or unlisted
        ):
            continue
        out = plan.matrix.folder
        if len(plan.protocols) > 1:
            out = out / protocol
        command = [sys.executable, str(tools / "leaderboard.py"), "--protocol", protocol]
        command += ["--results", str(plan.results), "--out", str(out)]
        # With an equals sign, as a title may begin with a dash.
        command += [f"--reference={plan.matrix.reference}", f"--title={plan.matrix.title}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise InputError(f"{plan.results}: leaderboard.py: {lines[-1]}")
        drawn.append(out)
    return drawn

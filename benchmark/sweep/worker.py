"""Run one job of a sweep: take its lock and GPUs, write its log, and record a failure."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from benchmark.errors import InputError
from benchmark.files import read_json, write_json
from benchmark.files.locking import OnWait, acquire, is_locked
from benchmark.sweep.gpus import lend
from benchmark.sweep.jobs import Job, failure_path, lock_path, log_path
from benchmark.training.distributed.signals import EXIT_STOPPED

LOCK = "sweep.lock"
"""Held by the process that runs a sweep, in its folder."""

_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


def run_job(description: Path) -> int:
    """Run the job that a file describes, unless its result exists by now.

    Waits for any process that runs the same job, and for free GPUs where the sweep lends them. The
    command prints into the job's log. A failed command leaves a file with its last error line,
    which makes the job count as failed; an interrupted one leaves nothing, so that the next sweep
    resumes it. On the machine of its sweep, nothing is started once the sweep has ended.

    Args:
        description: written by `benchmark.sweep.execution.run_plan`.

    Returns:
        0 if there is a valid result, 128 plus the signal if interrupted, 75 if only the command
        was interrupted and has saved its state, 1 otherwise.

    Raises:
        InputError: the file is missing or damaged, or the sweep has ended before the job began.
    """
    content = read_json(description)
    job, folder = Job.from_json(content["job"]), Path(content["folder"])
    os.chdir(content["cwd"])
    local = content["gpus"] is not None
    with ExitStack() as stack:
        on_wait = _on_wait(job, folder if local else None)
        held = [stack.enter_context(acquire(lock_path(job.id, folder), on_wait))]
        if job.compare()[0] == "done":
            _say(f"done already  {job.title}")
            return 0
        environment = {**os.environ, **content["environment"]}
        if local:
            names, locks = stack.enter_context(lend(content["gpus"], job.gpus, on_wait))
            held += locks
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(names)
            _refuse_orphan(folder)
        failure_path(job.id, folder).unlink(missing_ok=True)
        return _attempt(job, folder, environment, held)


def _on_wait(job: Job, folder: Path | None) -> OnWait:
    """Says once what a job waits for; ends the job if its sweep, in this folder, has ended."""
    known: set[str] = set()

    def on_wait(holder: str) -> None:
        if folder is not None:
            _refuse_orphan(folder)
        if holder not in known:
            known.add(holder)
            _say(f"waiting       {job.title}  for {holder}")

    return on_wait


def _refuse_orphan(folder: Path) -> None:
    if not is_locked(folder / LOCK):
        raise InputError(f"{folder}: the sweep of this job has ended")


def _attempt(job: Job, folder: Path, environment: dict[str, str], held: list[int]) -> int:
    log = log_path(job.id, folder)
    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.time()
    with log.open("ab") as stream:
        begin = stream.tell()
        code, interrupt = _execute(job.full_command, environment, held, stream)
    seconds = time.time() - start
    if interrupt is not None or code == EXIT_STOPPED:
        # Somebody may have stopped the command alone; the next sweep resumes what it saved.
        _say(f"interrupted   {job.title}")
        return code if interrupt is None else 128 + interrupt
    state, reason = job.compare()
    if code == 0 and state == "done":
        _say(f"done          {job.title}  ({seconds:.0f} s)")
        return 0
    if code:
        error = _last_error(log, begin) or f"exit code {code}"
        error += f" (killed by signal {-code})" if code < 0 else ""
    else:
        error = f"ended without a valid result: {reason or state}"
    failure: dict[str, Any] = {
        "error": error,
        "code": code,
        "log": str(log),
        "when": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "config_hash": job.config_hash,
    }
    write_json(failure_path(job.id, folder), failure)
    _say(f"failed        {job.title}  {error}")
    return 1


def _execute(
    command: list[str], environment: dict[str, str], held: list[int], log: IO[bytes]
) -> tuple[int, int | None]:
    """Exit code of a command, and the signal by which it was interrupted."""
    child: subprocess.Popen[bytes] | None = None
    caught: list[int] = []
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    devices = environment.get("CUDA_VISIBLE_DEVICES")
    where = "" if devices is None else f"CUDA_VISIBLE_DEVICES={devices} "
    log.write(f"# {now}\n$ {where}{shlex.join(command)}\n".encode())
    log.flush()

    def forward(number: int, _: Any) -> None:
        caught.append(number)
        if child:
            child.send_signal(number)
        else:
            early.append(number)

    early: list[int] = []  # before there was a child to forward it to
    before = {number: signal.signal(number, forward) for number in _INTERRUPTS}
    try:
        # The command inherits the locks: they stay held while it lives, even if this process is
        # killed.
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=held,
        )
        for number in early:
            child.send_signal(number)
        code = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code, caught[0] if caught and code else None


def _last_error(log: Path, begin: int) -> str:
    """The last ``error:`` line of this attempt; failing that, its last line."""
    with log.open("rb") as stream:
        stream.seek(begin)
        text = stream.read().decode(errors="replace")
    # The first two lines say what was run.
    lines = [line.strip() for line in text.splitlines()[2:] if line.strip()]
    named = [line for line in lines if line.startswith("error:")]
    return (named or lines or [""])[-1][:500]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def job_description(
    job: Job, folder: Path, gpus: list[str] | None, environment: dict[str, str]
) -> dict[str, Any]:
    """What `run_job` reads.

    Args:
        job: what to run.
        folder: of the sweep.
        gpus: those of this machine that the sweep lends; None where the scheduler assigns them.
        environment: variables to set for the command.

    Raises:
        InputError: the job needs more GPUs than there are.
    """
    if gpus is not None and job.gpus > len(gpus):
        raise InputError(
            f"{job.title}: {job.gpus} GPUs wanted (--pretrain-gpus), but this machine lends "
            f"{len(gpus)}"
        )
    return {
        "job": vars(job) | {"state": "missing", "reason": ""},
        "folder": str(folder.resolve()),
        "cwd": os.getcwd(),
        "gpus": gpus,
        "environment": environment,
    }

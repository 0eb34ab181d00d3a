"""The command: each part in a process of its own, with a time limit, then the verdict."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmark.acceptance.findings import Finding, Outcome, as_json, as_markdown
from benchmark.acceptance.plan import PARTS, ROOT, Part
from benchmark.commands import Parser
from benchmark.device import VARIABLE, gpu_count
from benchmark.errors import InputError, one_of
from benchmark.files import write_json, write_text
from benchmark.files.strict_json import parse_json

JSON_NAME, MARKDOWN_NAME = "gpu_acceptance.json", "gpu_acceptance.md"
#: On a CPU every part may take this many times its limit.
PATIENCE = 10
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _arguments() -> argparse.Namespace:
    parser = Parser(
        prog="tools/gpu_acceptance.sh",
        description="Everything that only a GPU shows, in at most ten minutes on one card.",
    )
    parser.add_argument(
        "--device",
        choices=("cuda", "cpu"),
        default="cuda",
        help="cpu: the same parts with small sizes, to test the script (default: %(default)s)",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="PART",
        help=f"run only these parts: {', '.join(part.name for part in PARTS)}",
    )
    parser.add_argument(
        "--out",
        default="work_dirs/gpu_acceptance",
        metavar="DIR",
        help=f"folder for {JSON_NAME}, {MARKDOWN_NAME} and a log of every part "
        "(default: %(default)s)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the parts and their limits")
    parser.add_argument("--inside", metavar="PART", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """The exit code: 0 if all parts passed, else 1.

    Raises:
        InputError: there is no GPU, or no such part.
    """
    arguments = _arguments()
    by_name = {part.name: part for part in PARTS}
    if arguments.inside:
        _measure(by_name[arguments.inside], Path(arguments.out), arguments.device == "cpu")
        return 0
    names = [one_of("--only", name, by_name) for name in arguments.only or by_name]
    parts = [by_name[name] for name in names]
    if arguments.dry_run:
        _print_plan(parts)
        return 0
    gpus = gpu_count() if arguments.device == "cuda" else 0
    if arguments.device == "cuda" and not gpus:
        _print_plan(parts)
        raise InputError("torch finds no GPU; --device cpu tries the script with small sizes")
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    # Temporary files of all parts, also of those that are killed.
    with tempfile.TemporaryDirectory(prefix="gpu_acceptance_") as scratch:
        outcomes = _run_all(parts, out, arguments.device, gpus, scratch)
    print(f"written: {out / MARKDOWN_NAME}")
    return 0 if all(outcome.good for outcome in outcomes) else 1


def _run_all(
    parts: Sequence[Part], out: Path, device: str, gpus: int, scratch: str
) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for part in parts:
        outcomes.append(_run(part, out, device, gpus, scratch))
        one = outcomes[-1]
        print(f"{one.title}: {one.state} ({one.seconds:.0f} s) {one.reason}".rstrip(), flush=True)
        missed = [finding for finding in one.findings if not finding.reached]
        for finding in missed:
            print(f"  {finding.what}: {finding.value}, {finding.goal}", flush=True)
        # After every part, so that ending the command early loses no results.
        machine = {"device": device, "gpus": gpus, **_software()}
        write_json(out / JSON_NAME, as_json(machine, outcomes))
        write_text(out / MARKDOWN_NAME, as_markdown(machine, outcomes))
    return outcomes


def _print_plan(parts: Sequence[Part]) -> None:
    width = max(len(part.title) for part in parts)
    for part in parts:
        needs = "" if part.needs == "nothing" else f"needs {part.needs}"
        print(f"{part.title:{width}}  at most {part.limit:2} s  {needs}".rstrip())


def _software() -> dict[str, Any]:
    from benchmark.results.provenance import collect_provenance

    found = collect_provenance()
    git = found["git"] or {}
    return {
        "commit": git.get("commit", "—") + " (changed)" * bool(git.get("dirty")),
        "torch": found["versions"].get("torch", "—"),
    }


def _run(part: Part, out: Path, device: str, gpus: int, scratch: str) -> Outcome:
    """Run a part in a process of its own; whatever that started is ended with it.

    Args:
        scratch: folder for its temporary files.
    """
    on_gpu = device == "cuda"
    if (part.needs == "a GPU" and not gpus) or (part.needs == "two GPUs" and on_gpu and gpus < 2):
        return Outcome(part.name, part.title, "skipped", 0.0, f"needs {part.needs}", ())
    found = _findings_file(out, part)
    found.unlink(missing_ok=True)
    words = ["--inside", part.name, "--device", device, "--out", str(out)]
    start = time.monotonic()
    log = out / f"{part.name}.log"
    process, state, reason = None, "", ""
    with log.open("wb") as stream, _signals_end():
        try:
            # A signal between the start of the process and its assignment would leave it running.
            with _deferred_signals():
                process = subprocess.Popen(
                    [sys.executable, "-m", "benchmark.acceptance", *words],
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    cwd=ROOT,
                    env={**os.environ, VARIABLE: device, "TMPDIR": scratch},
                )
            code = process.wait(part.limit if on_gpu else PATIENCE * part.limit)
        except subprocess.TimeoutExpired:
            state = "timed out"
        finally:
            if process:
                _end(process)
    seconds = time.monotonic() - start
    findings = _read(found)
    if not state:
        # A part that measured nothing has shown nothing.
        passed = code == 0 and findings and all(finding.reached for finding in findings)
        state = "passed" if passed else "failed"
        missing = "" if findings else f"nothing was measured, see {log}"
        reason = f"exit code {code}, see {log}" if code else missing
    return Outcome(part.name, part.title, state, seconds, reason, findings)


@contextmanager
def _signals_end() -> Iterator[None]:
    """SIGTERM and SIGHUP end the command as Ctrl-C does, unless they are ignored (nohup)."""

    def leave(number: int, _: Any) -> None:
        sys.exit(128 + number)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, leave)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _deferred_signals() -> Iterator[None]:
    """Deliver what would end the command only after the block."""
    received: list[int] = []
    before = {number: signal.getsignal(number) for number in _ENDING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, lambda number, _: received.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in received:
            signal.raise_signal(number)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a part and all it has started: ranks of torchrun have process groups of their own."""
    import psutil

    started: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess, ProcessLookupError):
        # Stopped first, so that no launcher starts another one meanwhile.
        os.killpg(process.pid, signal.SIGSTOP)
        started = psutil.Process(process.pid).children(recursive=True)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for child in started:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    process.wait()
    psutil.wait_procs(started, timeout=10)


def _findings_file(out: Path, part: Part) -> Path:
    return out / f"{part.name}.jsonl"


def _measure(part: Part, out: Path, reduced: bool) -> None:
    """Inside the process of a part: measure, and write every finding immediately."""
    module, _, name = part.function.partition(":")
    function = getattr(importlib.import_module(f"benchmark.acceptance.{module}"), name)
    with _findings_file(out, part).open("a", encoding="utf-8") as stream:
        for finding in function(reduced):
            stream.write(json.dumps(asdict(finding), allow_nan=False) + "\n")
            stream.flush()
            print(finding, flush=True)


def _read(path: Path) -> tuple[Finding, ...]:
    if not path.is_file():
        return ()
    lines = path.read_text(encoding="utf-8").splitlines()
    return tuple(Finding(**parse_json(line, str(path))) for line in lines)

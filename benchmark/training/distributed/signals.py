"""Signals that ask a run to stop, and the ways in which a run ends before its last epoch.

SIGTERM comes from whoever needs the machine, SIGUSR1 from Slurm some time before its limit, SIGHUP
from a terminal that is closed; where one is ignored, as under nohup, it stays ignored. None
interrupts a step: a flag is raised, and the run checks it where it can be resumed exactly.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import Any, ClassVar

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
EXIT_BAD_INPUT = 2
EXIT_NOT_FINITE = 3
EXIT_SILENT = 4
EXIT_STOPPED = 75
"""EX_TEMPFAIL of sysexits.h: nothing is wrong, run the same command again later."""


class RunEnded(Exception):
    """A run ends before its last epoch, after printing why in one line.

    Command lines exit with `exit_code` and print nothing more.
    """

    exit_code: ClassVar[int] = 1


class Stopped(RunEnded):
    """A signal asked for it; the progress is saved."""

    exit_code = EXIT_STOPPED


class NotFinite(RunEnded):
    """Several steps in a row had a loss or a gradient that is not finite."""

    exit_code = EXIT_NOT_FINITE


class NoGPU(RunEnded):
    """One of several processes has no GPU of its own."""

    exit_code = EXIT_BAD_INPUT


class RankSilent(RunEnded):
    """Another process kept this one waiting for longer than allowed."""

    exit_code = EXIT_SILENT


def leave(end: RunEnded, speaks: bool) -> None:
    """Raise the end of a run; the process that `speaks` prints why first."""
    if speaks:
        stream = sys.stdout if isinstance(end, Stopped) else sys.stderr
        print(end, file=stream, flush=True)
    raise end


class StopSignals:
    """Notes signals that ask for a stop while a ``with`` block runs, which then do not kill it.

    Python delivers signals to the main thread only; in others nothing is caught.

    Attributes:
        received: name of the first one, ``"SIGTERM"`` for example; None so far.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self._before: dict[signal.Signals, Any] = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or signal.Signals(number).name

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            heard = [n for n in SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._note) for number in heard}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}


class StopAtOnce(StopSignals):
    """Ends a ``with`` block at the signal, as Ctrl-C does, after printing a line.

    For work in short parts; the finished ones are kept.
    """

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is None:
            super()._note(number, frame)
            words = "what is finished is kept, the same command does the rest"
            leave(Stopped(f"{self.received}: {words}"), speaks=True)


def leave_process_group(worker_id: int = 0) -> None:
    """Make this process, a loader's, the leader of a group of its own.

    Launchers, terminals and schedulers signal whole groups. Without its loader processes a run
    could not finish the step it is in; they end with the run, however it ends.
    """
    os.setpgid(0, 0)

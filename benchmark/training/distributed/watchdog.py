"""Ends a run in which one process keeps the others waiting, and says which one.

A process that is stopped, hangs in a driver or waits for a dead disk holds up all others in the
next exchange of gradients, without an error on any of them. So a thread of each process tells the
others every few seconds that it is alive and where in the run the process is, through the store of
their rendezvous. Training itself only notes its position, in a variable of the process.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from dataclasses import asdict, dataclass, replace

import torch.distributed as dist

from benchmark.training.distributed.launch import Launch, this_process
from benchmark.training.distributed.signals import EXIT_SILENT

_MOST_SECONDS = 10.0
"""Longest time between two signs of life."""


@dataclass(frozen=True)
class Sign:
    """A sign of life of a process."""

    beat: int  # counts up with each sign
    position: int  # how far it is; comparable between processes
    doing: str
    process: str  # its id and host
    left: bool = False  # it has finished, and sends no more signs


class Watchdog:
    """Watches the other processes of a run while a ``with`` block runs, and is watched by them.

    Ends this process (`EXIT_SILENT`, without cleaning up: its main thread is in an exchange that
    never ends) once another one has sent no sign of life for `minutes`, or has been behind for as
    long. The first process that is not at fault prints a line that names those that are.

    Args:
        here: this process among all.
        minutes: above 0.
    """

    def __init__(self, here: Launch, minutes: float) -> None:
        self.rank = here.rank
        self.minutes = minutes
        self._limit = 60 * minutes
        self._interval = min(self._limit / 10, _MOST_SECONDS)
        self._keys = [f"sign/{rank}" for rank in range(here.world_size)]
        self._own = Sign(0, -1, "starting", this_process())
        self._reached = time.monotonic()
        # By rank: its last sign, when that came, and when it reached its position.
        self._signs: dict[int, tuple[Sign, float, float]] = {}
        self._answered = time.monotonic()
        self._leaving = threading.Event()
        self._threads: list[threading.Thread] = []

    def note(self, position: int, doing: str) -> None:
        """Note where this process is; costs nothing, and may be called at every step."""
        if position != self._own.position:
            self._reached = time.monotonic()
        self._own = replace(self._own, position=position, doing=doing)

    def __enter__(self) -> Watchdog:
        global _running
        # A connection of its own: the other one may be blocked.
        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = dist.TCPStore(host, port, is_master=False)
        self._store = dist.PrefixStore("watchdog", store)
        self._store.set(self._keys[self.rank], json.dumps(asdict(self._own)))
        self._store.wait(self._keys)
        self._look()
        for work in (self._exchange, self._watch):
            thread = threading.Thread(target=work, daemon=True)
            thread.start()
            self._threads.append(thread)
        _running = self
        return self

    def __exit__(self, *_: object) -> None:
        global _running
        _running = None
        self._leaving.set()
        for thread in self._threads:  # one may wait for a store that does not answer
            thread.join(self._interval)

    def _exchange(self) -> None:
        """First thread: send a sign, and look at those of the others."""
        beat, left = 0, False
        while not left:
            left = self._leaving.wait(self._interval)
            beat += 1
            sign = replace(self._own, beat=beat, left=left)
            try:
                self._store.set(self._keys[self.rank], json.dumps(asdict(sign)))
                self._look()
            except RuntimeError:  # the store is gone, as `_watch` will find
                return

    def _look(self) -> None:
        """See which signs are new."""
        found = self._store.multi_get(self._keys)
        now = self._answered = time.monotonic()
        for rank, text in enumerate(found):
            sign = Sign(**json.loads(text))
            before, came, reached = self._signs.get(rank, (sign, now, now))
            if before.beat != sign.beat:
                came = now
            if before.position != sign.position:
                reached = now
            self._signs[rank] = (sign, came, reached)

    def _watch(self) -> None:
        """Second thread, since the first one may wait for the store forever."""
        last = time.monotonic()
        while not self._leaving.wait(self._interval):
            now = time.monotonic()
            if now - last > self._limit / 2:  # this process was itself stopped, and has resumed
                self._answered = self._reached = now
                self._signs = {rank: (s, now, now) for rank, (s, *_) in self._signs.items()}
            last = now
            problems = self._problems(now)
            if problems:
                self._end(problems)

    def _problems(self, now: float) -> dict[int, str]:
        """What is wrong with other processes, by rank."""
        span = f"for {self.minutes:g} min"
        if now - self._answered > self._limit:
            if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
                launcher = f"the launcher on {os.environ['MASTER_ADDR']}"
                return {-1: f"{launcher} has not answered {span}"}
            process = f" ({self._signs[0][0].process})" if 0 in self._signs else ""
            return {0: f"rank 0{process} has not answered {span}"}
        found = {}
        waited = now - self._reached > self._limit
        for rank, (sign, came, reached) in list(self._signs.items()):
            name = f"rank {rank} ({sign.process})"
            if rank == self.rank or sign.left:
                continue
            if now - came > self._limit:
                found[rank] = f"{name} has given no sign of life {span}, last: {sign.doing}"
            elif waited and sign.position < self._own.position and now - reached > self._limit:
                found[rank] = f"{name} has kept the others waiting {span}: {sign.doing}"
        return found

    def _end(self, problems: dict[int, str]) -> None:
        good = next(rank for rank in range(len(self._keys)) if rank not in problems)
        if self.rank == good:
            print(
                f"error: {'; '.join(problems.values())}; the run ends (timeout_minutes), --resume "
                "continues after the last checkpoint",
                file=sys.stderr,
                flush=True,
            )
        else:  # launchers end the others as soon as one process has left
            time.sleep(3 * self._interval)
        os._exit(EXIT_SILENT)


_running: Watchdog | None = None


def note(position: int, doing: str) -> None:
    """`Watchdog.note` of the one that runs in this process, if one does."""
    if _running is not None:
        _running.note(position, doing)

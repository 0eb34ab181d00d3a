"""Progress of long loops over frames, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def progress_bar(
    label: str, total: int, done: int = 0, enabled: bool = True
) -> Iterator[Callable[[int], None]]:
    """Show progress inside the block; yields `advance(count)`.

    A bar on a terminal; in a log file one plain line about every ten seconds.

    Args:
        label: what is being done.
        total: number of frames.
        done: how many an interrupted run has finished.
        enabled: False shows nothing.
    """
    if not enabled:
        yield lambda count: None
    elif not sys.stderr.isatty():
        yield _lines(label, total, done)
    else:
        from rich.console import Console
        from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

        defaults = Progress.get_default_columns()[:-1]
        columns = (*defaults, MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task(label, total=total, completed=done)
            yield lambda count: progress.advance(task, count)


def _lines(label: str, total: int, done: int) -> Callable[[int], None]:
    start = last = time.monotonic()
    before = done

    def advance(count: int) -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        if now - last >= _SECONDS_BETWEEN_LINES:
            last = now
            rate = (done - before) / (now - start)
            line = f"{label}: {done} of {total}, {rate:.0f} frames/s"
            print(line, file=sys.stderr, flush=True)

    return advance

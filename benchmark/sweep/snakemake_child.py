"""Snakemake that ends with the sweep that started it.

Run as ``python -m benchmark.sweep.snakemake_child PID ARGUMENT…``. A killed sweep cannot stop its
Snakemake, which would keep the next one from starting. Running jobs are not touched.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

_POLL = 0.2


def _end_with(parent: int) -> None:
    """Kill this process as soon as `parent` is no longer its parent."""
    while os.getppid() == parent:
        time.sleep(_POLL)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    # `run_plan` stops the jobs with SIGINT. Processes that a script starts in the background ignore
    # it, and all jobs of such a sweep would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_end_with, args=(int(sys.argv.pop(1)),), daemon=True).start()
    from snakemake.cli import main

    main()

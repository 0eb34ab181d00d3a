"""Snakemake that ends with the sweep that started it.

Run as ``python -m benchmark.sweep.workflow PID ARGUMENT…``. A sweep that was killed cannot stop it,
and would find it in the way when it is started again. Jobs that run are not touched.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

_POLL = 0.2


def _end_with(parent: int) -> None:
    """Kill this process as soon as it is no child of `parent` any more."""
    while os.getppid() == parent:
        time.sleep(_POLL)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=_end_with, args=(int(sys.argv.pop(1)),), daemon=True).start()
    from snakemake.cli import main

    main()

"""torchrun for `tools/dist_train.sh`, ending with the exit code of the process that failed first.

A process has said itself what was wrong, in a line or a traceback; torchrun would wrap it in a page
of its own and end with 1 whatever it was.
"""

from __future__ import annotations

import logging
import signal
import sys

from torch.distributed import run as torchrun
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

EXIT_STOPPED = 75  # as benchmark.engine.signals


def main() -> int:
    """Launch what the command line says; see ``torchrun --help``."""
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    try:
        torchrun.run(torchrun.parse_args(sys.argv[1:]))
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode > 0:
            return failure.exitcode
        name = signal.Signals(-failure.exitcode).name
        print(f"error: process {rank} was ended by {name}", file=sys.stderr)
        return 128 - failure.exitcode
    except SignalException as error:
        # It was passed on; the processes have saved and left in the half minute they are given.
        return EXIT_STOPPED if error.sigval == signal.SIGTERM else 128 + error.sigval
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""torchrun for `tools/dist_train.sh`, ending with the exit code of the process that failed first.

The process has reported its error in a line or a traceback; torchrun would wrap it in a page of its
own and always end with 1.
"""

from __future__ import annotations

import logging
import signal
import sys

from torch.distributed import run as torchrun
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.api import SubprocessContext
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

EXIT_STOPPED = 75  # as benchmark.training.distributed.signals


def main() -> int:
    """Launch the command line; see ``torchrun --help``."""
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    codes = _codes_of_processes()
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
        # It was forwarded; processes that had not ended after 30 s were killed.
        if error.sigval not in (signal.SIGTERM, signal.SIGHUP):
            return 128 + error.sigval
        killed = [rank for rank, code in enumerate(codes) if code == -signal.SIGKILL]
        if killed:
            print(
                f"error: process {', '.join(map(str, killed))} did not end after SIGTERM and was "
                "killed; --resume continues after the last checkpoint",
                file=sys.stderr,
            )
            return 128 + signal.SIGKILL
        code = next((code for code in codes if code not in (0, EXIT_STOPPED)), EXIT_STOPPED)
        return code if code > 0 else 128 - code
    return 0


def _codes_of_processes() -> list[int]:
    """Record the exit codes of the processes, which torchrun does not report."""
    codes: list[int] = []
    usual = SubprocessContext._close

    def close(context: SubprocessContext, *given: object, **named: object) -> None:
        usual(context, *given, **named)
        handlers = context.subprocess_handlers
        codes[:] = [handlers[rank].proc.returncode for rank in sorted(handlers)]

    SubprocessContext._close = close
    return codes


if __name__ == "__main__":
    sys.exit(main())

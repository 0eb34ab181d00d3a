"""Shared by the command lines: the import path, common options, and exit codes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Threads that wait by spinning starve each other as soon as anything else runs on the machine: on
# two busy cores a training step was six times slower. Read when torch loads OpenMP.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

ROOT = Path(__file__).resolve().parent.parent
# The tools work from a plain clone, whether or not the package is installed; before this folder,
# where the name `leaderboard` is a tool and not the package.
sys.path.insert(0, str(ROOT))

import _screen  # noqa: E402

from benchmark.commands import PROGRAM, Parser, as_called  # noqa: E402
from benchmark.completion import ASKED, complete  # noqa: E402
from benchmark.device import DEVICES, VARIABLE, hide_gpus  # noqa: E402
from benchmark.errors import InputError, explain_os_error  # noqa: E402
from benchmark.training.config_keys import SCALES  # noqa: E402
from benchmark.training.distributed.launch import is_main_process  # noqa: E402
from benchmark.training.distributed.signals import RunEnded  # noqa: E402
from benchmark.type_hints import fits, meaning  # noqa: E402

# Removed, since tools that this one starts have names of their own.
sys.argv[0] = os.environ.pop(PROGRAM, sys.argv[0])

LIVE_HELP = "one progress line instead of log lines, on a terminal; train.log has them all"

_OWN = ("benchmark", "configs", "leaderboard", "methods", "tools")


def run(
    main: Callable[[], int | None],
    interrupted: str | Callable[[], str] = "run the same command again",
    prints_result: bool = False,
) -> None:
    """Run a tool, and exit with a code that says how it went.

    0 on success; 2 and one line for bad input and for what the system refuses; 3 where steps were
    not finite; 4 where another process kept the run waiting; 75 when a signal stopped a run that
    was saved; 130 when interrupted; 1 with a traceback for a defect.

    Args:
        main: the tool; returns its exit code, None for 0.
        interrupted: advice after Ctrl-C, or a function that returns it.
        prints_result: whether the output is the result, so that a full disk behind stdout is an
            error, too; a run only reports its progress.
    """
    if ASKED in os.environ:
        complete(main)
    _screen.outlive_the_screen()
    try:
        hide_gpus()
        code = main()
    except InputError as error:
        if is_main_process():
            print(f"error: {as_called(str(error))}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if os.environ.get("ANGIO_TRACEBACK"):
            raise
        # From whichever process: a disk may be full on one machine only.
        print(f"error: {explain_os_error(error)}", file=sys.stderr)
        sys.exit(2)
    except RuntimeError as error:
        # Raised by `Path.resolve`, up to Python 3.12.
        if not str(error).startswith("Symlink loop"):
            raise
        print(f"error: {error}; name the real path", file=sys.stderr)
        sys.exit(2)
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] in _OWN:  # a defect
            raise
        print(
            f"error: {sys.executable} has no module {error.name}; `make setup` installs all of "
            "them, then `source .venv/bin/activate`",
            file=sys.stderr,
        )
        sys.exit(2)
    except RunEnded as end:  # the reason has been printed
        sys.exit(end.exit_code)
    except KeyboardInterrupt:
        if is_main_process():
            advice = interrupted if isinstance(interrupted, str) else interrupted()
            print(f"interrupted; {advice}", file=sys.stderr)
        sys.exit(130)
    if prints_result and not code:
        sys.stdout.flush()
        code = 2 if _screen.output_is_lost else 0
    sys.exit(code or 0)


def number(hint: Any) -> Callable[[str], int | float]:
    """The type of an option that takes the numbers of a hint, for argparse."""

    def read(text: str) -> int | float:
        for kind in (int, float):
            try:
                if fits(value := kind(text), hint):
                    return value
            except ValueError:
                continue
        raise argparse.ArgumentTypeError(f"{text!r} is not {meaning(hint)}")

    return read


def add_run_options(parser: Parser) -> None:
    """Options of every tool that runs a config."""
    add_work_options(parser)
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="override settings, for example epochs=100 method.masking.ratio=0.6",
    )
    add_device_option(parser)


def add_work_options(parser: Parser) -> None:
    """Options of every tool that uses the folder of all runs, see `work_folder`."""
    parser.add_argument(
        "--scale",
        choices=tuple(SCALES),
        default="paper",
        help="sizes: paper as published (default), small, mini for the reference run on a CPU, or "
        "tiny for seconds",
    )
    parser.add_argument(
        "--work",
        metavar="DIR",
        help="folder all runs live in (default: work_dirs, or work_dirs/SCALE)",
    )


class _SetDevice(argparse.Action):
    """Puts the choice where `benchmark.device` and all processes started later look it up."""

    def __call__(self, parser: object, args: argparse.Namespace, value: str, *_: object) -> None:
        os.environ[VARIABLE] = value
        hide_gpus()
        setattr(args, self.dest, value)


def add_device_option(parser: Parser) -> None:
    """The option of every tool that places models and batches on a device."""
    parser.add_argument(
        "--device",
        action=_SetDevice,
        choices=DEVICES,
        help=f"cpu, cuda, or a GPU where there is one (auto, the default); as {VARIABLE}",
    )


def work_folder(args: argparse.Namespace) -> Path:
    """The folder all runs of this scale live in."""
    if args.work:
        return Path(args.work)
    return Path("work_dirs") if args.scale == "paper" else Path("work_dirs") / args.scale

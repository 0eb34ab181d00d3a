"""What the command lines share: the import path and the way they fail."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    # The tools work from a plain clone, whether or not the package is installed.
    sys.path.insert(0, str(ROOT))

from benchmark.errors import InputError  # noqa: E402


def run(main: Callable[[], int | None]) -> None:
    """Run a tool: 0 on success, 2 and one line for bad input, 130 when interrupted."""
    try:
        code = main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from where it stopped", file=sys.stderr)
        sys.exit(130)
    sys.exit(code or 0)

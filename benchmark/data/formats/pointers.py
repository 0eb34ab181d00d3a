"""What lies in place of a file that was not fetched: links and pointers of git-annex, LFS, DVC."""

from __future__ import annotations

import os
from pathlib import Path

_BEGINNINGS = {
    b"version https://git-lfs": "Git LFS pointer in place of the file (git lfs pull)",
    b"/annex/objects/": "git-annex pointer in place of the file (git annex get)",
}


def is_dangling(path: Path) -> bool:
    """Whether a path is a link to something that is not there."""
    return path.is_symlink() and not path.exists()


def pointer_reason(path: Path) -> str | None:
    """What a file that cannot be used is in truth, and how to fetch it; None if it is no pointer.

    The reasons are few and fixed, to be counted. Asked where reading has failed.
    """
    try:
        if is_dangling(path):
            annex = "annex/objects" in Path(os.readlink(path)).as_posix()
            fetch = "git annex get" if annex else "dvc pull, or download it again"
            return f"link to a file that is not there ({fetch})"
        if not path.is_file():
            return None
        with path.open("rb") as stream:
            beginning = stream.read(max(map(len, _BEGINNINGS)))
    except OSError:
        return None
    return next((why for how, why in _BEGINNINGS.items() if beginning.startswith(how)), None)

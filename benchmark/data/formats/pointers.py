"""What stands in for a file that was not downloaded: links and pointers of git-annex, LFS, DVC."""

from __future__ import annotations

from pathlib import Path

from benchmark.file_contents import is_annex_link, is_broken_link, pointer_system

_HEAD = 32  # bytes; more than the longest beginning of a pointer


def pointer_reason(path: Path) -> str | None:
    """What an unreadable file really is, and how to fetch it; None if it is not a pointer.

    To be asked after reading failed.
    """
    try:
        if is_broken_link(path):
            command = "git annex get" if is_annex_link(path) else "dvc pull, or download it again"
            return f"broken link ({command})"
        if not path.is_file():
            return None
        with path.open("rb") as stream:
            system = pointer_system(stream.read(_HEAD).decode("ascii", errors="replace"))
    except OSError:
        return None
    return f"{system.name} pointer in place of the file ({system.command})" if system else None

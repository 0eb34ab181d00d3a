"""Placeholders of files that were not downloaded: links and pointers of git-annex, LFS and DVC."""

from __future__ import annotations

from pathlib import Path

from benchmark.files.contents import is_annex_link, is_broken_link, pointer_system

_HEAD = 32  # bytes; longer than the prefix of any pointer


def pointer_reason(path: Path) -> str | None:
    """Which placeholder an unreadable file is, and how to fetch its content, or None.

    Call it after reading has failed.
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

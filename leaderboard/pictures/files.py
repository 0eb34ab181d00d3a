"""Pictures as files beside the page.

A file of ours is recognised by its name, which is the hash of its content: nothing else in the
folder is ever replaced or removed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from benchmark import files
from benchmark.errors import InputError
from leaderboard.pictures.encoding import DIGITS, SUFFIXES, name_of

_NAME = re.compile(rf"[0-9a-f]{{{DIGITS}}}({'|'.join(map(re.escape, SUFFIXES))})")


def pictures_folder(page: Path) -> Path:
    """Where the pictures of a page are kept: ``leaderboard_pictures`` beside ``leaderboard``."""
    return page.with_name(f"{page.name}_pictures")


def write_pictures(folder: Path, pictures: Mapping[str, bytes]) -> None:
    """Write the files that the folder lacks, each atomically.

    Raises:
        InputError: a file stands in place of the folder, or another one in place of a picture.
    """
    files.check_output_folder(folder)
    for name, content in pictures.items():
        path = folder / name
        if path.is_symlink() or path.exists():
            if not _is_ours(path):
                raise InputError(f"{path}: not the picture written here, or changed: move it away")
            continue
        with files.atomic_write(path) as stream:
            stream.write(content)


def remove_old_pictures(folder: Path, kept: Collection[str] = ()) -> None:
    """Remove our files from the folder except those `kept`, and the folder if it is then empty."""
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in files.list_folder(folder):
        if path.name not in kept and _is_ours(path):
            path.unlink()
    with suppress(OSError):  # not empty
        folder.rmdir()


def _is_ours(path: Path) -> bool:
    """Whether it is named by its content."""
    if not _NAME.fullmatch(path.name) or path.is_symlink() or not path.is_file():
        return False
    return name_of(files.read_regular(path), path.suffix) == path.name

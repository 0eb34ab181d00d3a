"""A pack or task folder that was prepared earlier."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from benchmark.errors import InputError
from benchmark.files.locking import lock_beside, partial_folder, remove_left

P = TypeVar("P")


def require_pack(folder: Path) -> None:
    """Refuse a folder that is not a finished pack, without the libraries that open one.

    Raises:
        InputError: it is missing, unfinished or something else; the message names the remedy.
    """
    if not folder.is_dir():
        if partial_folder(folder).is_dir():
            raise InputError(f"{folder}: unfinished; run tools/prepare_data.py again")
        raise InputError(f"{folder}: no such folder; make the pack with tools/prepare_data.py")
    if not (folder / "manifest.json").is_file():
        raise InputError(
            f"{folder}: not a pack (manifest.json is missing); make one with tools/prepare_data.py"
        )


def open_prepared(
    out: Path, open_folder: Callable[[Path], P], what: str, plan_hash: str, strict: bool
) -> P | None:
    """The finished pack or task folder at `out`; None if it is missing or an empty folder.

    Args:
        out: the folder.
        open_folder: opens it, as a `FramePack` or a `TaskFolder`.
        what: ``"pack"`` or ``"task folder"``, for messages.
        plan_hash: identity of what is asked for.
        strict: refuse what was prepared with skipped frames.

    Raises:
        InputError: `out` is something else, was prepared from other frames or parameters, or lacks
            skipped frames under `strict`.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    remove_left(lock_beside(out))
    if not (out / "manifest.json").is_file():
        raise InputError(f"{out}: not a {what}, and not empty; choose another folder")
    prepared = open_folder(out)
    if prepared.manifest["plan_hash"] != plan_hash:
        raise InputError(
            f"{out}: already holds a {what} of other frames or parameters; remove it or choose "
            "another folder"
        )
    skipped = prepared.manifest["skipped"]
    if strict and skipped:
        counts = ", ".join(f"{why}: {entry['count']}" for why, entry in sorted(skipped.items()))
        raise InputError(
            f"{out}: strict, but frames were skipped when it was prepared ({counts}); remove it, "
            "or drop strict"
        )
    return prepared

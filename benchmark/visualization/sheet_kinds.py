"""The kind of folder a contact sheet is drawn from, found without importing torch."""

from __future__ import annotations

from pathlib import Path

from benchmark.errors import InputError

# What each kind of folder holds, in the order in which they are looked for.
_MARKS = {
    "pack": "frames.u8",
    "fine-tuned run": "predictions",
    "pre-training run": "run.json",
    "task": "manifest.json",
}


def sheet_kind(folder: Path) -> str:
    """``"pack"``, ``"fine-tuned run"``, ``"pre-training run"`` or ``"task"``.

    Raises:
        InputError: it is none of them.
    """
    for kind, name in _MARKS.items():
        if (folder / name).exists():
            return kind
    raise InputError(f"{folder}: neither a pack, a task nor a run; nothing to draw")

"""One line of what a machine offers, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass

#: From good to bad: as it should be; works, but not as recorded results were made; works, but
#: slowly; something will fail.
STATES = ("ok", "note", "slow", "missing")


@dataclass(frozen=True)
class Finding:
    """What was looked at and what it means.

    Attributes:
        name: what was looked at.
        value: what was found, in a few words.
        state: one of `STATES`.
        advice: why this is a problem and what mends it; empty where the state is ``"ok"``.
    """

    name: str
    value: str
    state: str = "ok"
    advice: str = ""


def judged(name: str, value: str, good: bool, advice: str, otherwise: str = "slow") -> Finding:
    """A finding that is ok if `good`, else of the state `otherwise` with its advice."""
    return Finding(name, value) if good else Finding(name, value, otherwise, advice)


def amount(size: float) -> str:
    """Bytes in words: ``1.5 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"

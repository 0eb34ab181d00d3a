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
        part: section of the report, ``"software"`` for example.
        name: what was looked at.
        state: one of `STATES`.
        value: what was found, in a few words.
        advice: why this is a problem and what mends it; empty where the state is ``"ok"``.
    """

    part: str
    name: str
    state: str
    value: str
    advice: str = ""

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise ValueError(f"{self.name}: {self.state!r} is not one of {', '.join(STATES)}")
        if (self.state == "ok") == bool(self.advice):
            raise ValueError(f"{self.name}: advice belongs to what is not ok, and only to that")


def judged(
    part: str, name: str, value: str, good: bool, advice: str, otherwise: str = "slow"
) -> Finding:
    """A finding that is ok if `good`, else of the state `otherwise` with its advice."""
    return Finding(part, name, "ok" if good else otherwise, value, "" if good else advice)


def amount(size: float) -> str:
    """Bytes in words: ``1.5 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"

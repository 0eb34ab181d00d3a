"""The symbols of the papers in titles of figures, explained below each figure that has them."""

from __future__ import annotations

from collections.abc import Iterable

_MEANINGS = {
    "B": "vessels extracted from the frame: vesselness above its α-th percentile, connected",
    "M": "probability of vessel by the segmentor",
    "f(G)": "share of the guidance G (B, M or their mixture) in each patch, scaled to its maximum",
}


def legend(titles: Iterable[str]) -> str:
    """The meanings of the symbols that titles end in, as ``"vessels B"``; a line each."""
    last = [title.rpartition(" ")[2] for title in titles]
    return "\n".join(f"{name}: {text}" for name, text in _MEANINGS.items() if name in last)

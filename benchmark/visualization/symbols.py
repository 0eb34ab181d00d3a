"""The symbols of the papers in titles of figures, explained below each figure that has them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmark.files import read_object

_MEANINGS = {
    "B": "vessels extracted from the frame: vesselness above its α-th percentile, connected",
    "M": "probability of vessel by the segmentor",
    "f(G)": "share of the guidance G (B, M or their mixture) in each patch, scaled to its maximum",
}


def legend(titles: Iterable[str], alpha: float | None = None) -> str:
    """The meanings of the symbols that titles end in, as ``"vessels B"``; a line each.

    Args:
        alpha: the percentile α of the extraction of B in 0…100; None where it is unknown.
    """
    last = [title.rpartition(" ")[2] for title in titles]
    text = "\n".join(f"{name}: {text}" for name, text in _MEANINGS.items() if name in last)
    known = "α-th percentile" if alpha is None else f"percentile α = {alpha:g}"
    return text.replace("α-th percentile", known)


def extraction_alpha(packs: Iterable[str | Path]) -> float | None:
    """The α with which the vessels of all these packs were extracted, as their manifests say.

    Returns:
        None where a manifest does not say, or they differ.

    Raises:
        InputError: a manifest cannot be read.
    """
    found = set()
    for pack in packs:
        anatomy = read_object(Path(pack) / "manifest.json").get("anatomy")
        parameters = anatomy.get("parameters") if isinstance(anatomy, dict) else None
        found.add(parameters.get("alpha") if isinstance(parameters, dict) else None)
    alpha = found.pop() if len(found) == 1 else None
    return alpha if isinstance(alpha, (int, float)) else None

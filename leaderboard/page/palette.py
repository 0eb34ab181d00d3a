"""Colours, markers and line styles of all diagrams: one source for the page and for print.

Print has the colours of the page's light scheme. They are those of Okabe and Ito, darkened until
they are legible as text on white; they are distinct for every kind of colour vision, and never the
only difference between two marks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple


class Colour(NamedTuple):
    """On light and on dark paper."""

    light: str
    dark: str


INK = Colour("#1b1f24", "#e6e8ea")
MUTED = Colour("#5a636d", "#9ba4ad")
LINE = Colour("#e1e4e8", "#2d3339")
ACCENT = Colour("#0f6b70", "#5cc4c4")
# Blue and vermilion.
BETTER = Colour("#0a5fa5", "#74b7f2")
WORSE = Colour("#b3470c", "#f39a66")
SERIES = (
    Colour("#0072b2", "#5684e2"),
    Colour("#ca5010", "#f0894a"),
    Colour("#00805e", "#3fc79f"),
    Colour("#b3578d", "#e284bd"),
    Colour("#4b4f56", "#c3c7cc"),
    Colour("#7a4200", "#e6b93c"),
    Colour("#544bb6", "#ab9df2"),
)
#: Names of matplotlib; `plots/curves.js` has a path for each.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
#: Lengths of strokes and gaps in line widths; the first is a solid line.
DASHES = (
    (),
    (5.0, 1.6),
    (1.2, 1.2),
    (5.0, 1.4, 1.2, 1.4),
    (9.0, 2.0),
    (2.6, 1.2, 2.6, 3.0),
    (5.0, 1.4, 1.2, 1.4, 1.2, 1.4),
    (1.2, 3.0),
    (9.0, 1.6, 3.0, 1.6),
)

_NAMED = {
    **{"ink": INK, "muted": MUTED, "line": LINE, "accent": ACCENT},
    **{"better": BETTER, "worse": WORSE},
    **{f"series-{number}": colour for number, colour in enumerate(SERIES)},
}


def series_style(number: int) -> dict[str, Any]:
    """Look of a series: ``colour`` (index in `SERIES`), ``marker`` and ``dash``.

    The first 63 differ in colour or line style, the first 441 in one of these or the marker.
    """
    again, colour = divmod(number, len(SERIES))
    # Once the line styles are used up, every colour gets its next marker.
    dash, shift = again % len(DASHES), again // len(DASHES)
    marker = MARKERS[(colour + shift) % len(MARKERS)]
    return {"colour": colour, "marker": marker, "dash": list(DASHES[dash])}


def series_styles(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Name → its `series_style`, in the order of the names."""
    return {name: series_style(number) for number, name in enumerate(dict.fromkeys(names))}


def page_style() -> str:
    """The colours as CSS variables that follow the scheme of the page: ``--better``, …"""
    lines = [f"  --{name}: light-dark({c.light}, {c.dark});" for name, c in _NAMED.items()]
    uses = [f".series-{n} {{ color: var(--series-{n}); }}" for n in range(len(SERIES))]
    return "\n".join([":root {", *lines, "}", *uses]) + "\n"

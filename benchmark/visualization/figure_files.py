"""Figures for print as PNG, SVG or PDF: equal figures give byte-identical files.

matplotlib is imported when something is saved.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import InputError
from benchmark.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Format → metadata of when and by what a file was made; None omits it.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
# SVG keeps text as text and PDF embeds TrueType fonts, so that both can be edited.
_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "figure", "pdf.fonttype": 42, "ps.fonttype": 42}


def figure_format(out: str | Path) -> str:
    """The format a file name asks for: ``"png"``, ``"svg"`` or ``"pdf"``.

    Raises:
        InputError: another ending.
    """
    kind = Path(out).suffix.lower().lstrip(".")
    if kind not in _METADATA:
        known = ", ".join(f".{name}" for name in _METADATA)
        raise InputError(f"{out}: a figure must end in one of {known}")
    return kind


def save_figure(figure: Figure, out: str | Path, dpi: int = 300) -> None:
    """Write a figure in the format of the file name, atomically.

    Args:
        figure: drawn with matplotlib.
        out: ``.png``, ``.svg`` or ``.pdf``.
        dpi: pixels per inch of a PNG, and of what is rasterised in the others.

    Raises:
        InputError: another ending.
    """
    import matplotlib

    kind = figure_format(out)
    with matplotlib.rc_context(_STYLE), atomic_write(out) as stream:
        figure.savefig(stream, format=kind, dpi=dpi, metadata=_METADATA[kind])

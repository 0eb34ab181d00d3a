"""How figures look and are saved: for print, and byte-identical every time.

The font is DejaVu Sans, which ships with matplotlib, so that figures are equal on all machines; PDF
embeds it as TrueType, SVG keeps text as text. Colours are those of Okabe and Ito, distinct for
every kind of colour vision, and never the only difference between two markers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from benchmark.visualization.figure_files import save_figure
from leaderboard.figures.board_view import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MM = 1 / 25.4  # inches
_POINT = 25.4 / 72  # mm
INK, MUTED, LINE = "#1b1f24", "#6b7480", "#d9dde2"
BETTER, WORSE, ACCENT = "#0a5fa5", "#c2510c", "#0f6b70"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#4b4f56", "#b58900", "#5f4bb6", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
ROW = 3.7  # row height in mm
_STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 6.5,
    "axes.titlesize": 7,
    "axes.titleweight": "bold",
    "axes.labelsize": 6.5,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6,
    "legend.frameon": False,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 2.2,
    "xtick.major.width": 0.6,
    "ytick.major.size": 0,
    "grid.color": LINE,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.6,
    # Names are data: a dollar sign must not start a formula.
    "text.parse_math": False,
    "axes.unicode_minus": True,
    "figure.constrained_layout.h_pad": 0.04,
    "figure.constrained_layout.w_pad": 0.04,
}


@contextmanager
def house_style() -> Iterator[None]:
    """The style of all figures, independent of any matplotlibrc."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in mm, with constrained layout."""
    figure = Figure(figsize=(width * MM, height * MM), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, out: str | Path, dpi: int = 300) -> None:
    """`save_figure` in the style of all figures."""
    with house_style():
        save_figure(figure, out, dpi)


def series_style(number: int) -> dict[str, str]:
    """Colour and marker of a series, as keywords of matplotlib."""
    return {"color": SERIES[number % len(SERIES)], "marker": MARKERS[number % len(MARKERS)]}


def label_rows(
    axis: Axes, labels: Sequence[str], marked: Sequence[bool], show: bool = True
) -> None:
    """Label the rows on the vertical axis, from the top down; marked ones in bold.

    Args:
        show: False for a panel beside one that has the labels.
    """
    axis.set_ylim(len(labels) - 0.4, -0.6)
    axis.set_yticks(range(len(labels)), labels if show else [""] * len(labels))
    for tick, bold in zip(axis.get_yticklabels(), marked):
        tick.set_fontweight("bold" if bold else "normal")
    axis.spines["left"].set_visible(False)
    axis.grid(axis="x")


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Width of a line of text in mm; `size` is the font size in points."""
    font = FontProperties(family=_STYLE["font.sans-serif"], weight=weight)
    return TextPath((0, 0), text, size=size, prop=font).get_extents().width * _POINT


def fit_text(text: str, width: float, size: float, weight: str = "normal") -> str:
    """The text, cut with an ellipsis where it is wider than `width` mm."""
    for length in range(len(text), 0, -1):
        cut = shorten(text, length)
        if text_width(cut, size, weight) <= width:
            return cut
    return ""


def panel_grid(count: int, width: float, min_width: float) -> tuple[int, int]:
    """Rows and columns for `count` panels, none narrower than `min_width` mm."""
    across = max(1, min(count, int(width // min_width)))
    down = -(-count // across)
    return down, -(-count // down)

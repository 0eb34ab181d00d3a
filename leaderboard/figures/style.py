"""How figures look and are saved: for print, and byte-identical every time.

PDF embeds the font as TrueType, SVG keeps text as text. No text is smaller than `SMALL`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from benchmark.visualization.figure_files import save_figure
from leaderboard.figures.text import FONT
from leaderboard.page import palette

MM = 1 / 25.4  # inches
INK, MUTED, LINE = palette.INK.light, palette.MUTED.light, palette.LINE.light
BETTER, WORSE, ACCENT = palette.BETTER.light, palette.WORSE.light, palette.ACCENT.light
SMALL, NORMAL = 6.0, 6.5  # font sizes in points
_STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": [FONT],
    "font.size": NORMAL,
    "axes.titlesize": NORMAL,
    "axes.titleweight": "bold",
    "axes.labelsize": SMALL,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
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
}


@contextmanager
def house_style() -> Iterator[None]:
    """The style of all figures, independent of any matplotlibrc."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def save(figure: Figure, out: str | Path, dpi: int = 300) -> None:
    """`save_figure` in the style of all figures."""
    with house_style():
        save_figure(figure, out, dpi)


def series_look(style: Mapping[str, Any]) -> dict[str, Any]:
    """A style of `leaderboard.page.palette` as keywords of matplotlib."""
    look = {"color": palette.SERIES[style["colour"]].light, "marker": style["marker"]}
    return {**look, "linestyle": (0, style["dash"]) if style["dash"] else "-"}


def panel_grid(count: int, width: float, min_width: float) -> tuple[int, int]:
    """Rows and columns for `count` panels, none narrower than `min_width` mm."""
    across = max(1, min(count, int(width // min_width)))
    down = -(-count // across)
    return down, -(-count // down)

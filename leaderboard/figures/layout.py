"""Sizes in mm: what fits on a page, rows and their names, panels, and the key below them.

Nothing is left to an automatic layout: every text is measured, so that none overlaps or leaves the
figure, and what does not fit on a page continues on the next one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from leaderboard.figures.style import INK, MM, NORMAL, SMALL
from leaderboard.figures.text import clean, fit_text, text_width

#: Maximum height of a figure: the text of an A4 or US Letter page with margins of 25 mm, with
#: a caption of one line.
PAGE = 222.0
MARGIN = 1.5
ROW, NARROW = 3.7, 2.7  # height of a row, and the least with text of `SMALL` size
_PAD = 1.6  # between the name of a row and its panel
_SAFE = 1.04  # hinting may widen a text


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size."""
    figure = Figure(figsize=(width * MM, height * MM))
    FigureCanvasAgg(figure)
    return figure


def size_of(figure: Figure) -> tuple[float, float]:
    """Width and height."""
    width, height = figure.get_size_inches()
    return float(width / MM), float(height / MM)


def add_axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at this place, measured from the left and upper edge of the figure."""
    across, down = size_of(figure)
    return figure.add_axes(
        (left / across, 1 - (top + height) / down, width / across, height / down)
    )


def add_text(figure: Figure, left: float, top: float, text: str, **look: Any) -> None:
    """Text below and right of this place."""
    across, down = size_of(figure)
    figure.text(left / across, 1 - top / down, text, **{"va": "top", "fontsize": SMALL, **look})


def fit(text: str, width: float, size: float = SMALL, weight: str = "normal") -> str:
    """`fit_text` with a margin for hinting."""
    return fit_text(text, width / _SAFE, size, weight)


def widest(texts: Sequence[str], size: float = SMALL, weight: str = "normal") -> float:
    """Width that the widest text needs; 0 without any."""
    return _SAFE * max((text_width(text, size, weight) for text in texts), default=0.0)


def wrap(text: str, width: float, size: float = SMALL) -> list[str]:
    """Lines no wider than `width`; a word that is wider is cut."""
    lines: list[str] = []
    for word in clean(text).split():
        if lines and _SAFE * text_width(f"{lines[-1]} {word}", size) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(fit(word, width, size))
    return lines


def fit_names(names: Sequence[str], width: float, bold: Sequence[bool] = ()) -> list[str]:
    """Names cut to a width; those that would look alike lose the beginning they share instead."""
    # As wide as in bold, so that a marked name is cut where the others are.
    weight = "bold" if any(bold) else "normal"
    tails = [clean(name) for name in names]
    for _ in range(4):
        cut = [fit(tail, width, SMALL, weight) for tail in tails]
        alike: dict[str, list[int]] = {}
        for index, name in enumerate(cut):
            alike.setdefault(name, []).append(index)
        shared = [group for group in alike.values() if len({tails[i] for i in group}) > 1]
        if not shared:
            break
        for group in shared:
            start = _shared([tails[index] for index in group])
            for index in group:
                tails[index] = f"…{tails[index][start:]}"
    return cut


def _shared(texts: Sequence[str]) -> int:
    """Length of the words, and the spaces after them, that all texts start with."""
    same = [len(set(characters)) == 1 for characters in zip(*texts)]
    length = same.index(False) if False in same else len(same)
    return texts[0][:length].rfind(" ") + 1


def row_names(names: Sequence[str], most: float, bold: Sequence[bool]) -> tuple[list[str], float]:
    """Names of rows cut to `most`, and the width they need with the distance to the panel."""
    cut = fit_names(names, most - _PAD, bold)
    needs = [widest([n], SMALL, "bold" if strong else "normal") for n, strong in zip(cut, bold)]
    return cut, _PAD + max(needs, default=0.0)


def first_fit(texts: Sequence[str], width: float) -> str:
    """The first text that is no wider, else the last one, cut."""
    return next((text for text in texts if widest([text]) <= width), fit(texts[-1], width))


def label_rows(axis: Axes, names: Sequence[str], bold: Sequence[bool]) -> None:
    """Name the rows on the vertical axis, from the top down."""
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.set_yticks(range(len(names)), names)
    axis.tick_params(axis="y", pad=2, labelsize=SMALL)
    for tick, strong in zip(axis.get_yticklabels(), bold):
        tick.set_fontweight("bold" if strong else "normal")
    axis.spines["left"].set_visible(False)


def fit_rows(count: int, room: float, around: float, panels: int = 1) -> tuple[float, int]:
    """Height of a row, and how many a panel has.

    Rows are narrower than `ROW` where this saves a page, never narrower than `NARROW`; if not even
    those fit, a panel has only a part of them.

    Args:
        count: rows.
        room: height of a page.
        around: height of a panel beside its rows.
        panels: panels below each other.
    """
    most = max(1, int((room - around) / NARROW))
    if count > most:
        rows = math.ceil(count / math.ceil(count / most))
        return min(ROW, (room - around) / rows), rows
    on_page = max(1, int(room / (count * NARROW + around)))
    on_page = math.ceil(panels / math.ceil(panels / on_page))
    return min(ROW, (room / on_page - around) / max(1, count)), count


def chunks(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """The items in order, `size` at a time."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def paginate(heights: Sequence[float], room: float) -> list[list[int]]:
    """Indices of what stands on each page, in order; something too high has a page of its own."""
    pages: list[list[int]] = []
    left = 0.0
    for index, height in enumerate(heights):
        if not pages or height > left + 1e-6:
            pages.append([])
            left = room
        pages[-1].append(index)
        left -= height
    return pages


class Key:
    """A legend that stands below everything else."""

    def __init__(
        self, handles: Sequence[Any], names: Sequence[str], width: float, title: str = ""
    ) -> None:
        room = width - 2 * MARGIN
        # 2.4 em: the handle and its distance.
        self._handles = list(handles)
        self._names = [fit(name, room - 2.4 * SMALL * 25.4 / 72) for name in names]
        self._title = "\n".join(wrap(title, room))
        scratch = new_figure(width, PAGE)
        self._columns = max(1, len(names))
        while True:
            legend = self._add(scratch)
            box = legend.get_window_extent(scratch.canvas.get_renderer())
            if box.width / scratch.dpi / MM <= room or self._columns == 1:
                break
            legend.remove()
            self._columns -= 1
        # Rows of equal length.
        self._columns = -(-len(names) // -(-len(names) // self._columns)) if names else 1
        self.height = box.height / scratch.dpi / MM + MARGIN if names else 0.0

    def _add(self, figure: Figure) -> Legend:
        return figure.legend(
            self._handles,
            self._names,
            title=self._title or None,
            title_fontsize=SMALL,
            alignment="left",
            loc="lower center",
            bbox_to_anchor=(0.5, MARGIN / size_of(figure)[1]),
            ncols=self._columns,
            borderaxespad=0,
            borderpad=0,
            labelspacing=0.35,
            handlelength=1.6,
            handletextpad=0.6,
            columnspacing=1.6,
        )

    def draw(self, figure: Figure) -> None:
        if self._names:
            self._add(figure)


def add_title(axis: Axes, title: str, width: float) -> None:
    """The title of a panel of this width, in bold."""
    text = fit(title, width, NORMAL, "bold")
    axis.set_title(text, loc="left", fontsize=NORMAL, color=INK, pad=3)

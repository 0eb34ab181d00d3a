"""How a table fits a page: its type size, its parts below each other, its page breaks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from leaderboard.tables.grids import Entry, Grid
from leaderboard.tables.latex_text import lines_within, text_width

#: Type sizes in points, the larger first.
SIZES = (8.0, 7.0)

#: Line height in type sizes.
LEADING = 1.2

#: Points between the text of two columns.
GAP = 6.0

#: Maximum height of a float in points: the lowest text block of the usual two-column classes, less
#: a caption.
FLOAT_HEIGHT = 580.0

#: Small type of Computer Modern is wider than a scaled-down one of 10 pt.
_OPTICAL = {8.0: 1.065, 7.0: 1.14}
_BOLD = 1.15
_SPACE = text_width(" ")

#: Shares of the text width: of all texts of a wider table, of a number, and of a word that is not
#: broken.
_TEXTS, _CELL, _WORD = 0.5, 0.4, 0.25


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a grid, with widths in em.

    Attributes:
        index: which one of the grid.
        is_text: left-aligned, not right-aligned.
        room: within which its texts are broken into lines.
        suffix: room for what follows the values, in a column of its own; 0 for none.
    """

    index: int
    is_text: bool
    room: float
    suffix: float = 0.0

    @property
    def width(self) -> float:
        return self.room + (self.suffix + _SPACE if self.suffix else 0.0)


@dataclass(frozen=True, slots=True)
class Layout:
    """A grid on paper: `parts` are printed below each other, each with all rows."""

    size: float
    parts: tuple[tuple[Column, ...], ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of one part; `new_float`: they start a float in two columns, the last one being full."""

    part: int
    rows: range
    new_float: bool


def lay_out(grid: Grid, width: float) -> Layout:
    """The largest type and the fewest parts with which a grid is at most `width` points wide.

    Columns under one header stay together where they can; every part repeats the columns that tell
    its rows apart.
    """
    layouts = [Layout(size, _parts(grid, width, size)) for size in SIZES]
    return min(layouts, key=lambda layout: len(layout.parts))


def heads(grid: Grid) -> tuple[str, ...]:
    """The column headers directly above the rows."""
    return grid.subheader or grid.header


def pieces(grid: Grid, layout: Layout, notes_height: float) -> Iterator[Piece]:
    """The parts of a layout in pieces that fit the floats of a two-column document.

    Args:
        notes_height: points that the notes below the table need.
    """
    line = layout.size * LEADING
    left, first = FLOAT_HEIGHT - notes_height, True
    for number, part in enumerate(layout.parts):
        heights = [line * _n_lines(row, part) for row in grid.rows]
        head = line * (2 + _head_lines(grid, part)) + 2 * line
        new_float = not first and sum(heights) + head > left
        if new_float:
            left = FLOAT_HEIGHT - notes_height
        left -= head
        start = 0
        for index, height in enumerate(heights):
            if height > left and index > start:
                yield Piece(number, range(start, index), new_float)
                start, new_float, left = index, True, FLOAT_HEIGHT - notes_height - head
            left -= height
        yield Piece(number, range(start, len(heights)), new_float)
        first = False


def _n_lines(row: Sequence[Entry], part: Sequence[Column]) -> int:
    return max(len(lines_within(row[column.index].text, column.room)) for column in part)


def _head_lines(grid: Grid, part: Sequence[Column]) -> int:
    return max(len(lines_within(heads(grid)[column.index], column.room)) for column in part)


def _parts(grid: Grid, width: float, size: float) -> tuple[tuple[Column, ...], ...]:
    em = size * _OPTICAL[size]
    columns = _columns(grid, width / em, GAP / em)
    texts, keys = columns[: grid.n_text], [columns[index] for index in _keys(grid)]

    def fits(chosen: Sequence[Column]) -> bool:
        return _total(chosen, GAP / em) <= width / em

    parts, current = [], texts
    for block in _blocks(grid, columns):
        # A group of columns is split only if no part has room for it.
        for group in [block] if fits([*keys, *block]) else [[column] for column in block]:
            if not fits([*current, *group]):
                parts.append(tuple(current))
                current = keys
            current = [*current, *group]
    return (*parts, tuple(current))


def _total(columns: Sequence[Column], gap: float) -> float:
    return sum(column.width for column in columns) + gap * (len(columns) - 1)


def _blocks(grid: Grid, columns: Sequence[Column]) -> list[list[Column]]:
    """The columns of numbers by the headers that span them."""
    numbers = list(columns[grid.n_text :])
    if not grid.spans:
        return [[column] for column in numbers]
    blocks, start = [], 0
    for title, width in grid.spans:
        group = list(columns[max(start, grid.n_text) : start + width])
        blocks += [group] if title and group else [[column] for column in group]
        start += width
    return blocks


def _keys(grid: Grid) -> list[int]:
    """The columns of texts that tell the rows apart, the first of all included."""
    keys = [0]
    others = list(range(1, grid.n_text))

    def n_distinct(chosen: Sequence[int]) -> int:
        return len({tuple(row[index].text for index in chosen) for row in grid.rows})

    while others and n_distinct(keys) < len(grid.rows):
        best = max(others, key=lambda index: n_distinct([*keys, index]))
        if n_distinct([*keys, best]) == n_distinct(keys):
            break
        others.remove(best)
        keys.append(best)
    return sorted(keys)


def _columns(grid: Grid, width: float, gap: float) -> list[Column]:
    """The columns with their widths, for a text width and gaps in em."""
    most = _CELL * width
    columns = []
    for index, head in enumerate(heads(grid)):
        entries = [row[index] for row in grid.rows]
        is_text = index < grid.n_text
        natural = max(
            max(text_width(e.text) * (_BOLD if e.place == 1 else 1) for e in entries),
            max(map(text_width, head.split()), default=0.0),
        )
        suffix = max(text_width(entry.suffix.strip()) for entry in entries)
        room = natural if is_text else min(natural, most)
        columns.append(Column(index, is_text, room, suffix))
    columns = _with_room_for_spans(grid, columns, most, gap)
    if _total(columns, gap) > width:
        columns = _with_narrow_texts(grid, columns, width, gap)
    return columns


def _longest_word(grid: Grid, index: int) -> float:
    texts = (heads(grid)[index], *(row[index].text for row in grid.rows))
    return max((text_width(word) for text in texts for word in text.split()), default=0.0)


def _with_room_for_spans(
    grid: Grid, columns: list[Column], most: float, gap: float
) -> list[Column]:
    """Widen the last column below a header with a longer word."""
    start = 0
    for title, count in grid.spans:
        spanned = columns[start : start + count]
        start += count
        longest = min(most, max(map(text_width, title.split()), default=0.0))
        missing = longest - _total(spanned, gap)
        if missing > 0:
            last = spanned[-1]
            columns[start - 1] = Column(last.index, last.is_text, last.room + missing, last.suffix)
    return columns


def _with_narrow_texts(
    grid: Grid, columns: Sequence[Column], width: float, gap: float
) -> list[Column]:
    """Break the longest texts into lines, so that numbers have room beside them."""
    texts, numbers = columns[: grid.n_text], columns[grid.n_text :]
    beside = width - _total(numbers, gap) - gap * (len(texts) + 1)
    most = _most_each([column.room for column in texts], max(_TEXTS * width, beside))
    unbroken = width * min(_WORD, 0.9 / len(texts))
    rooms = [
        min(column.room, max(most, min(_longest_word(grid, column.index), unbroken)))
        for column in texts
    ]
    return [*(Column(c.index, True, room, c.suffix) for c, room in zip(texts, rooms)), *numbers]


def _most_each(widths: Sequence[float], total: float) -> float:
    """The largest limit of each width with which their sum is at most `total`."""
    rest = sorted(widths)
    while rest and rest[0] <= total / len(rest):
        total -= rest.pop(0)
    return total / len(rest) if rest else max(widths, default=0.0)

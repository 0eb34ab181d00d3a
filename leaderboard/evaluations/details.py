"""Further tables of a board: the same rows, other numbers than its scores."""

from __future__ import annotations

from dataclasses import dataclass

from leaderboard.statistics import Summary


@dataclass(frozen=True, slots=True)
class Number:
    """The value of a cell in the long format: a metric of a dataset, as a column of a board.

    Attributes:
        interval: the 95 % interval of the mean, in its unit; None without one.
    """

    dataset: str
    metric: str
    definition: str
    unit: str
    summary: Summary
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class DetailCell:
    """A text in print, and its number where it has one; `place` 1 is in bold."""

    text: str = "—"
    number: Number | None = None
    place: int = 0


@dataclass(frozen=True, slots=True)
class DetailRow:
    """The id of its row on the board, the texts it starts with, and its cells."""

    row: str
    texts: tuple[str, ...]
    cells: tuple[DetailCell, ...]


@dataclass(frozen=True, slots=True)
class Detail:
    """One table.

    Attributes:
        title: heading; unique on its board.
        words: headers of the texts.
        columns: (group, title) of the columns of cells; neighbours of one group share its heading.
        notes: what its numbers are.
    """

    title: str
    words: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    rows: tuple[DetailRow, ...]
    notes: tuple[str, ...]

"""The ranks of every method on every table of methods, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leaderboard.board import Board
from leaderboard.statistics import Summary, competition_ranks

TITLE = "Ranks by evaluation"


@dataclass(frozen=True, slots=True)
class RankedTable:
    """One table of methods.

    Attributes:
        board: its id.
        title: as a header; that of fine-tuning says so.
        columns, rows: how many scores a rank is averaged over, and how many rows have them all.
    """

    board: str
    title: str
    columns: int
    rows: int


@dataclass(frozen=True, slots=True)
class OverviewRow:
    """One method; `ranks` and `places` follow the tables, None without an average rank there."""

    method: str
    title: str
    ranks: tuple[Summary | None, ...]
    places: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """Average ranks; rows by their rank in the first table, then in the next ones."""

    tables: tuple[RankedTable, ...]
    rows: tuple[OverviewRow, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What the numbers are."""
        sizes = "; ".join(f"{t.title}: {t.columns} and {t.rows}" for t in self.tables)
        return (
            "Average rank of a method in each table: mean ± sample standard deviation of its ranks "
            "over the columns of that table, among the rows that have all of them; an incomplete "
            "row has none. Ranks of tables with different rows do not compare with each other. "
            f"Numbers of columns and of complete rows: {sizes}.",
        )


def make_overview(boards: Sequence[Board]) -> Overview | None:
    """The average ranks on the boards of methods; None without an evaluation, or any rank."""
    shown = [board for board in boards if board.ranks_methods]
    if not any(board.is_evaluation for board in shown):
        return None
    titles: dict[str, str] = {}
    ranks: dict[str, list[Summary | None]] = {}
    for place, board in enumerate(shown):
        for row in board.rows:
            if not row.context and row.average_rank is not None:
                titles.setdefault(row.method, row.title)
                ranks.setdefault(row.method, [None] * len(shown))[place] = row.average_rank
    if not ranks:
        return None
    means = [[rank and rank.mean for rank in on_board] for on_board in zip(*ranks.values())]
    places = [competition_ranks(on_board, higher_is_better=False) for on_board in means]
    rows = [
        OverviewRow(method, titles[method], tuple(ranks[method]), places_of)
        for method, places_of in zip(ranks, zip(*places))
    ]
    tables = [
        RankedTable(
            board.id,
            board.title if board.is_evaluation else f"Fine-tuning, {board.title.lower()}",
            sum(column.score for column in board.columns),
            sum(mean is not None for mean in on_board),
        )
        for board, on_board in zip(shown, means)
    ]
    rows.sort(
        key=lambda row: ([rank.mean if rank else float("inf") for rank in row.ranks], row.title)
    )
    return Overview(tuple(tables), tuple(rows))

"""Average ranks with their bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from leaderboard.figures.board_view import (
    BoardView,
    FigureRow,
    rank_of,
    warning_of,
    warning_words,
)
from leaderboard.figures.layout import (
    MARGIN,
    PAGE,
    Key,
    add_axes,
    chunks,
    first_fit,
    fit_rows,
    label_rows,
    new_figure,
    row_names,
    widest,
)
from leaderboard.figures.style import INK, MUTED, SMALL, series_look
from leaderboard.statistics import rounded

_BELOW = 8.5  # mm for the axis


def draw_ranks(board: BoardView, width: float) -> list[Figure]:
    """One row per method with an average rank, best first; colour and marker encode the family.

    Bars are the 95 % bootstrap intervals of the rank, where they are defined.
    """
    rows = [row for row in board.ordered() if row["average_rank"]]
    key = _key(board, rows, width)
    room = PAGE - key.height - 2 * MARGIN
    pitch, per_page = fit_rows(len(rows), room, _BELOW)
    bold = [row["id"] == board.reference for row in rows]
    names, labels = row_names([board.label(row) for row in rows], 0.4 * width, bold)
    numbers = 1 + widest([_number(row) for row in rows])
    panel = width - 2 * MARGIN - labels - numbers
    ranks = [row["average_rank"] for row in rows]
    ends = [rank[end] for rank in ranks for end in ("mean", "low", "high") if rank[end] is not None]
    figures = []
    for part in chunks(range(len(rows)), per_page):
        height = pitch * len(part)
        figure = new_figure(width, height + _BELOW + key.height + 2 * MARGIN)
        axis = add_axes(figure, MARGIN + labels, MARGIN, panel, height)
        _draw_rows(axis, board, [rows[index] for index in part])
        label_rows(axis, [names[index] for index in part], [bold[index] for index in part])
        axis.grid(axis="x")
        axis.set_xlim(min(0.5, min(ends) - 0.3), max(ends) + 0.5)
        count = sum(column.get("score", True) for column in board.spec["columns"])
        # Says how many rows are ranked, if not all.
        title = board.spec.get("rank_title", "Average rank")
        axis.set_xlabel(
            first_fit([f"{title} over {count} columns, 1 is best", f"{title}, 1 is best"], panel)
        )
        key.draw(figure)
        figures.append(figure)
    return figures


def _draw_rows(axis: Axes, board: BoardView, rows: Sequence[FigureRow]) -> None:
    for place, row in enumerate(rows):
        rank = row["average_rank"]
        look = {**series_look(board.spec["families"][row["family"]]), "linestyle": ""}
        if rank["low"] is not None:
            axis.hlines(
                place, rank["low"], rank["high"], color=look["color"], linewidth=1.1, alpha=0.7
            )
        axis.plot(rank["mean"], place, **look, gid=f"rank:{row['id']}")
        axis.annotate(
            _number(row),
            (1, place),
            (2, 0),
            xycoords=axis.get_yaxis_transform(),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color=MUTED,
        )


def _number(row: FigureRow) -> str:
    return rounded(row["average_rank"]["mean"], 2) + warning_of(rank_of(row))


def _key(board: BoardView, rows: Sequence[FigureRow], width: float) -> Key:
    shown = {row["family"] for row in rows}
    families = [family for family in board.spec["families"] if family in shown]
    looks = [series_look(board.spec["families"][family]) for family in families]
    handles = [Line2D([], [], **{**look, "linestyle": ""}) for look in looks]
    names = list(families)
    if any(row["average_rank"]["low"] is not None for row in rows):
        handles.append(Line2D([], [], color=INK, linewidth=1.1))
        names.append("95 % interval over datasets")
    warnings = "".join(warning_of(rank_of(row)) for row in rows)
    return Key(handles, names, width, warning_words(warnings))

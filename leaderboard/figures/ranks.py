"""Average ranks with their bootstrap intervals."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from leaderboard.figures.board_view import BoardView
from leaderboard.figures.style import INK, MUTED, ROW, label_rows, new_figure, series_look
from leaderboard.figures.text import shorten


def draw_ranks(board: BoardView, width: float) -> Figure:
    """One row per method with an average rank, best first; colour and marker encode the family.

    Bars are the 95 % bootstrap intervals of the rank, where they are defined. Hollow markers are
    published numbers on a board that also has measured ones.
    """
    rows = [row for row in board.ordered() if row["average_rank"]]
    families = sorted({row["family"] for row in rows})
    figure = new_figure(width, ROW * len(rows) + 14 + 3 * -(-len(families) // 4))
    axis = figure.add_subplot()
    for place, row in enumerate(rows):
        rank = row["average_rank"]
        style = series_look(board.spec["families"][row["family"]]) | {"linestyle": ""}
        if rank["low"] is not None:
            axis.hlines(
                place, rank["low"], rank["high"], color=style["color"], linewidth=1.1, alpha=0.7
            )
        hollow = board.spec["origin"] == "both" and row["origin"] == "published"
        face = "white" if hollow else style["color"]
        axis.plot(rank["mean"], place, **style, mfc=face, gid=f"rank:{row['id']}")
        axis.text(
            *(1.01, place, f"{rank['mean']:.2f}"),
            transform=axis.get_yaxis_transform(),
            va="center",
            fontsize=6,
            color=MUTED,
        )
    labels = [shorten(board.label(row)) for row in rows]
    label_rows(axis, labels, [row["id"] == board.reference for row in rows])
    axis.set_xlim(left=0.5)
    axis.set_xlabel(f"Average rank over {len(board.spec['columns'])} columns (1 is best)")
    looks = [series_look(board.spec["families"][family]) for family in families]
    handles = [Line2D([], [], **{**look, "linestyle": ""}) for look in looks]
    names = [shorten(family, 30) for family in families]
    if any(row["average_rank"]["low"] is not None for row in rows):
        handles.append(Line2D([], [], color=INK, linewidth=1.1))
        names.append("95 % interval over datasets")
    figure.legend(handles, names, loc="outside lower center", ncols=max(1, int(width // 42)))
    return figure

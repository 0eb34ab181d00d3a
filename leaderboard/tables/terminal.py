"""The leaderboard on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmark.text import visible
from leaderboard.build import Leaderboard
from leaderboard.tables.grids import Grid, headline, sections
from leaderboard.tables.notes import board_notes, general_notes


def show(leaderboard: Leaderboard) -> None:
    """Print the leaderboard to a terminal."""
    console = Console()
    console.print(
        Text(leaderboard.title, style="bold"), Text(visible(headline(leaderboard))), sep="\n"
    )
    for section in sections(leaderboard):
        if not section.id:
            continue
        for grid in section.grids:
            console.print("", as_table(grid, section.title))
            for note in grid.notes:
                console.print(Text(f"• {visible(note)}"))
        if section.board not in (None, leaderboard.combined):
            for note in board_notes(section.board, leaderboard.correction):
                console.print(Text(f"• {visible(note)}"))
    skipped = [f"Skipped: {problem}" for problem in leaderboard.problems]
    for note in ["", *general_notes(leaderboard), *skipped]:
        console.print(Text(note and f"• {visible(note)}"))


def as_table(grid: Grid, title: str) -> Table:
    """A table for a terminal."""
    heading = visible(f"{title}: {grid.heading}" if grid.heading else title)
    table = Table(title=Text(heading), title_justify="left")
    styles = {1: "bold green", 2: "underline"}
    for index, header in enumerate(grid.header):
        table.add_column(Text(header), justify="left" if index < grid.n_text else "right")
    for row in grid.rows:
        # Text, not markup: rich would read a rank in brackets as a style.
        table.add_row(
            *(
                Text.assemble((visible(entry.text), styles.get(entry.place, "")), entry.suffix)
                for entry in row
            )
        )
    return table

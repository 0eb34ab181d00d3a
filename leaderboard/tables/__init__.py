"""The leaderboard as text: Markdown for readers, LaTeX for papers, CSV for programs.

All are functions of the leaderboard alone, without dates or machine names: equal records give equal
bytes. Any other renderer (the terminal) starts from `sections`.
"""

from leaderboard.tables.grids import Entry, Grid, Section, headline, sections
from leaderboard.tables.latex import to_latex
from leaderboard.tables.long_format import CSV_HEADER, to_csv
from leaderboard.tables.markdown import short_table, to_markdown, write_between_markers
from leaderboard.tables.notes import board_notes, general_notes

__all__ = [
    "CSV_HEADER",
    "Entry",
    "Grid",
    "Section",
    "board_notes",
    "general_notes",
    "headline",
    "sections",
    "short_table",
    "to_csv",
    "to_latex",
    "to_markdown",
    "write_between_markers",
]

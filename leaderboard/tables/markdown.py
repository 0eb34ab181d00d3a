"""The leaderboard as Markdown."""

from __future__ import annotations

import re

from benchmark.text import visible
from leaderboard.build import Leaderboard
from leaderboard.tables.grids import Entry, Grid, headline, sections
from leaderboard.tables.notes import board_notes, general_notes
from leaderboard.tables.sources import citation, sources_section

#: Characters with a meaning in Markdown, or whitespace that it drops.
_SPECIAL = re.compile(r"[\\|*`~$_\]&<>]|^\s|\s\s|\s$")


def escape(text: str) -> str:
    """Text that Markdown prints literally, on one line and inside one table cell."""
    text = visible(text)
    if not _SPECIAL.search(text):
        return text
    text = re.sub(r"[\\|*`~$]", r"\\\g<0>", text)
    # Inside a word, as in most ids, an underscore has no meaning.
    text = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)
    text = re.sub(r"\](?=[(\[:])", r"\\]", text)
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text)
    return " ".join(text.replace("<", "&lt;").replace(">", "&gt;").split())


def _entry(entry: Entry) -> str:
    wrap = {1: "**{}**", 2: "<u>{}</u>"}.get(entry.place, "{}")
    return wrap.format(escape(entry.text)) + entry.suffix


def grid_lines(grid: Grid) -> list[str]:
    rules = [":--"] * grid.n_text + ["--:"] * (len(grid.header) - grid.n_text)
    lines = [map(escape, grid.header), rules, *(map(_entry, row) for row in grid.rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def to_markdown(leaderboard: Leaderboard) -> str:
    """The leaderboard as a Markdown document that ends in a newline."""
    lines = [f"# {escape(leaderboard.title)}", "", escape(headline(leaderboard))]
    sources = sources_section(leaderboard)
    for section in [*sections(leaderboard), *([sources] if sources else [])]:
        lines += ["", f"## {escape(section.title)}"]
        for grid in section.grids:
            lines += ["", f"### {escape(grid.heading)}"] if grid.heading else []
            lines += ["", *grid_lines(grid)]
            lines += ["", *(f"- {escape(note)}" for note in grid.notes)] if grid.notes else []
        notes = board_notes(section.board, leaderboard.correction) if section.board else []
        if notes and section.board is not leaderboard.combined:
            lines += ["", *(f"- {escape(note)}" for note in notes)]
    notes = general_notes(leaderboard) + [f"Skipped: {p}" for p in leaderboard.problems]
    lines += ["", "## Notes", "", *(f"- {escape(note)}" for note in notes)]
    lines += ["", "## Citation", "", "```bibtex", *citation(leaderboard).splitlines(), "```"]
    return "\n".join(lines) + "\n"

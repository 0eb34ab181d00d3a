"""The comparison as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard.compare.content import Part
from leaderboard.tables.markdown import escape, grid_lines


def to_markdown(document: Sequence[Part]) -> str:
    """The document as Markdown that ends in a newline."""
    lines: list[str] = []
    for part in document:
        lines += [f"{'#' * part.level} {escape(part.title)}", ""]
        for text in part.texts:
            lines += [f"- {escape(text)}"]
        lines += [""] * bool(part.texts)
        if part.grid is not None:
            lines += [*grid_lines(part.grid), ""]
        if part.commands:
            lines += ["```bash", *numbered(part.commands), "```", ""]
    return "\n".join(lines)


def numbered(commands: Sequence[str]) -> list[str]:
    """The commands, each with its number as a comment of the shell."""
    return [f"{command}  # ({number})" for number, command in enumerate(commands, start=1)]

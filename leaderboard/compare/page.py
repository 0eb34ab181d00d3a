"""The comparison as one self-contained HTML page, in the style of the board's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape as escape_html

from benchmark.text import visible
from leaderboard.compare.content import Part
from leaderboard.compare.markdown import numbered
from leaderboard.page import static_document
from leaderboard.tables.grids import Entry, Grid


def to_html(document: Sequence[Part]) -> str:
    """The document as a page without scripts: equal documents, equal bytes."""
    title, *rest = document
    body = [
        '<header class="head">',
        f"<h1>{escape(title.title)}</h1>",
        *_texts(title),
        _contents(rest),
        "</header>",
        '<main id="results">',
        *(_section(part, number) for number, part in enumerate(rest)),
        "</main>",
    ]
    return static_document(visible(title.title), "\n".join(body))


def escape(text: str) -> str:
    """Text that HTML shows literally."""
    return escape_html(visible(text))


def _name(part: Part, number: int) -> str:
    """The id of a section."""
    return f"{re.sub(r'[^a-z0-9]+', '-', part.title.lower()).strip('-')}-{number}"


def _contents(document: Sequence[Part]) -> str:
    links = (
        f'<a href="#{_name(part, number)}">{escape(part.title)}</a>'
        for number, part in enumerate(document)
    )
    return f'<nav class="jump" aria-label="Sections">{" ".join(links)}</nav>'


def _section(part: Part, number: int) -> str:
    name = _name(part, number)
    lines = [
        f'<section aria-labelledby="{name}">',
        f'<h{part.level} id="{name}">{escape(part.title)}</h{part.level}>',
        *_texts(part),
        *([_table(part.grid, part.title)] if part.grid is not None else []),
    ]
    if part.commands:
        commands = "\n".join(map(escape, numbered(part.commands)))
        lines.append(f"<pre{_scrolls(f'Commands: {part.title}')}>{commands}</pre>")
    return "\n".join([*lines, "</section>"])


def _texts(part: Part) -> list[str]:
    return [f'<p class="hint">{escape(text)}</p>' for text in part.texts]


def _table(grid: Grid, name: str) -> str:
    def cell(index: int, entry: Entry) -> str:
        text = escape(entry.text + entry.suffix)
        if entry.place == 1:
            text = f"<b>{text}</b>"
        if index == 0:
            return f'<th scope="row">{text}</th>'
        return f"<td{_number(index >= grid.n_text)}>{text}</td>"

    heads = (
        f'<th scope="col"{_number(index >= grid.n_text)}>{escape(head)}</th>'
        for index, head in enumerate(grid.header)
    )
    rows = (
        f"<tr>{''.join(cell(index, entry) for index, entry in enumerate(row))}</tr>"
        for row in grid.rows
    )
    lines = [
        f'<div class="scroll"{_scrolls(name)}><table class="plain">',
        f"<thead><tr>{''.join(heads)}</tr></thead>",
        "<tbody>",
        *rows,
        "</tbody></table></div>",
    ]
    return "\n".join(lines)


def _scrolls(name: str) -> str:
    """Attributes of a box that may scroll: a tab stop with a name for screen readers."""
    return f' tabindex="0" role="group" aria-label="{escape(name)}"'


def _number(is_number: bool) -> str:
    return ' class="num"' if is_number else ""

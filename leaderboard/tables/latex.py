"""The leaderboard as LaTeX tables in the style of the papers (booktabs)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from leaderboard.build import Leaderboard
from leaderboard.tables.grids import Entry, Grid, headline, sections
from leaderboard.tables.latex_layout import LEADING, Column, heads, lay_out, pieces
from leaderboard.tables.latex_macros import MACROS
from leaderboard.tables.latex_text import escape, lines_within, number, text_width
from leaderboard.tables.notes import board_notes, general_notes, legend

#: Points per millimetre.
POINTS = 72.27 / 25.4

#: Width of the text block of IEEE's, AAAI's and other two-column classes, in mm.
WIDTH = 178

_ABOUT = """\
% Made by tools/leaderboard.py, for a text width of {width} mm or more; --latex-width makes it for
% another, 122 for LNCS say. Compiles with pdflatex, lualatex, xelatex and tectonic.
%
%   \\usepackage{{booktabs,longtable}}
%   \\input{{leaderboard}}                                         % everything, or
%   {{\\def\\boardtables{{{example}}}\\input{{leaderboard}}}}   % these tables, by commas
%
% In a two-column document the tables are table* floats, long ones several; where there is one
% column (\\onecolumn, supplements) they break over pages. Names in other scripts are printed as
% they are by lualatex, xelatex and tectonic in a font that has them, and transliterated otherwise.
%
"""

#: Width in em of a word that is not broken in running text, and of the pieces of a longer one.
_WORD, _PIECE = 12.0, 4.0


def to_latex(leaderboard: Leaderboard, width: float = WIDTH) -> str:
    """Every table of a board and the notes, to be read by ``\\input``.

    Tables are ``table*`` in a two-column document and longtables otherwise. Best in bold, second
    underlined, marks as in the other formats; below a table the meaning of the signs it has.

    Args:
        width: of the text block, in mm; wider tables are printed in parts below each other.
    """
    tables = list(_tables(leaderboard, width * POINTS))
    names = [name for name, _, _ in tables]
    about = _ABOUT.format(width=f"{width:g}", example=names[0] if names else "notes")
    listed = [f"%   {name}: {title}" for name, title, _ in tables] + ["%   notes: Notes"]
    lines = [about + "\n".join(["% The tables:", *listed]), MACROS]
    for name, _, body in [*tables, ("notes", "", _notes(leaderboard))]:
        lines += [rf"\boardselect{{{name}}}\ifboard", *body, r"\fi", ""]
    return "\n".join(lines)


def _tables(leaderboard: Leaderboard, width: float) -> Iterator[tuple[str, str, list[str]]]:
    """Name, title and lines of each table."""
    for section in sections(leaderboard):
        base = re.sub(r"[^A-Za-z0-9-]", "-", section.id or section.title.lower())
        for count, grid in enumerate(section.grids):
            parts = [leaderboard.title, section.title, grid.heading]
            title = ". ".join(part for part in parts if part)
            caption = f"{title}. {headline(leaderboard)}."
            name = base + (f"-{count}" * bool(count))
            yield name, escape(title), _table(grid, caption, f"tab:{name}", width)


def _table(grid: Grid, caption: str, label: str, width: float) -> list[str]:
    layout = lay_out(grid, width)
    size = layout.size
    signs = "; ".join(legend(grid))
    words = " ".join([f"{signs}." * bool(signs), *grid.notes]).strip()
    leading = f"{size * LEADING:.1f}"
    lines = [rf"\boardbegin{{{label}}}{{{_running(caption)}}}{{{size:g}}}{{{leading}}}"]
    for piece in pieces(grid, layout, _height(words, width, size)):
        part = layout.parts[piece.part]
        if piece.rows.start == 0:
            lines += _head(grid, part, new_float=piece.new_float)
        else:
            lines.append(r"\boardbreak")
        last = len(grid.rows) - 1
        for index in piece.rows:
            # No page break within three rows of either end.
            line = _row(grid.rows[index], part)
            lines.append(line if 2 <= index <= last - 3 else f"{line}*")
    return [*lines, rf"\boardend{{{_running(words)}}}"]


def _height(words: str, width: float, size: float) -> float:
    """Height of a paragraph in points."""
    return (text_width(words) * size / width + 1) * size * LEADING


def _head(grid: Grid, part: Sequence[Column], *, new_float: bool) -> list[str]:
    columns = "".join(("l" if c.is_text else "r") + "@{ }l" * bool(c.suffix) for c in part)
    count = sum(map(_n_cells, part))
    command = r"\boardnewpart" if new_float else r"\boardpart"
    # No space at the outer edges.
    lines = [rf"{command}{{@{{}}{columns}@{{}}}}{{{count}}}{{%", r"\toprule"]
    if grid.spans:
        lines += _spanning_header(grid, part)
    lines.append(_line(_head_cell(heads(grid)[c.index], c) for c in part))
    return [*lines, r"\midrule}"]


def _spanning_header(grid: Grid, part: Sequence[Column]) -> list[str]:
    """The line of headers that span columns, and the rules below them."""
    titles = [title for title, width in grid.spans for _ in range(width)]
    groups: list[tuple[str, list[Column]]] = []
    for column in part:
        title = titles[column.index]
        if not groups or groups[-1][0] != title:
            groups.append((title, []))
        groups[-1][1].append(column)
    cells, rules, start = [], [], 1
    for title, columns in groups:
        width = sum(map(_n_cells, columns))
        if title:
            room = sum(column.width for column in columns)
            text = _broken(title, room, "c", r"\boardhead")
            cells.append(rf"\multicolumn{{{width}}}{{c}}{{{text}}}")
            rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
        else:
            cells += [""] * width
        start += width
    return [_line(cells), "".join(rules)] if rules else []


def _n_cells(column: Column) -> int:
    return 2 if column.suffix else 1


def _head_cell(head: str, column: Column) -> str:
    align = "l" if column.is_text else "c" if column.suffix else "r"
    text = _broken(head, column.width, align, r"\boardhead")
    return rf"\multicolumn{{2}}{{c}}{{{text}}}" if column.suffix else text


def _row(row: Sequence[Entry], part: Iterable[Column]) -> str:
    return _line(cell for column in part for cell in _cells(row[column.index], column))


def _cells(entry: Entry, column: Column) -> list[str]:
    """The value and, in columns that have any, what follows it."""
    wrap = {1: r"\textbf{%s}", 2: r"\underline{%s}"}.get(entry.place, "%s")
    align = "l" if column.is_text else "r"
    text = wrap % _broken(entry.text, column.room, align, r"\boardcell")
    return [text, escape(entry.suffix)] if column.suffix else [text]


def _broken(text: str, room: float, align: str, command: str) -> str:
    """Text in lines of at most `room`."""
    lines = [escape(line) if align == "l" else number(line) for line in lines_within(text, room)]
    # Without {}, a line that begins with a bracket or an asterisk is an option of the break.
    return lines[0] if len(lines) == 1 else f"{command}{{{align}}}{{" + r"\\{}".join(lines) + "}"


def _line(cells: Iterable[str]) -> str:
    # After {}, a name in brackets is not an option of the line break before it.
    return "{}" + " & ".join(cells) + r" \\"


def _running(text: str) -> str:
    """Running text, in which long words may be broken."""
    return " ".join(
        r"\allowbreak{}".join(map(escape, lines_within(word, _PIECE)))
        if text_width(word) > _WORD
        else escape(word)
        for word in text.split()
    )


def _notes(leaderboard: Leaderboard) -> list[str]:
    """The notes of every board, then those of all boards."""
    notes = [
        rf"\emph{{{_running(section.board.title)}}}: {_running(note)}"
        for section in sections(leaderboard)
        if section.board and section.board is not leaderboard.combined
        for note in board_notes(section.board, leaderboard.correction)
    ]
    notes += map(_running, general_notes(leaderboard))
    notes += (_running(f"Skipped: {problem}") for problem in leaderboard.problems)
    items = [rf"\item[$\bullet$] {note}" for note in notes]
    heading = r"\par\medskip\noindent\textbf{Notes}"
    return [heading, r"\begin{itemize}\raggedright", *items, r"\end{itemize}"]

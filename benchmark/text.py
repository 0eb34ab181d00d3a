"""Untrusted text made safe to display, for all outputs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

# Control characters, directional marks, other zero-width characters, and lone surrogates (bytes
# of a file name that are not UTF-8).
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

# What spreadsheets parse as the start of a formula, full-width forms included.
_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]")


def visible(text: str) -> str:
    """The text on one line with invisible characters escaped: ``\\n``, ``\\x1b``, ``\\u202e``.

    So a title cannot colour or rewrite a terminal, nor reverse the text after it. Text without such
    characters is returned unchanged.
    """
    return text if text.isprintable() else _HIDDEN.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    if character in _NAMED:
        return _NAMED[character]
    if 0xDC80 <= code <= 0xDCFF:  # how Python decodes a byte of a file name that is not UTF-8
        code -= 0xDC00
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def csv_text(text: str) -> str:
    """Text for a cell of a CSV file: `visible`, and never executed as a formula.

    Spreadsheets evaluate cells that begin with ``=``, ``+``, ``-`` or ``@``; a leading apostrophe
    makes them text. Not for numbers.
    """
    shown = visible(text)
    return f"'{shown}" if _FORMULA.match(shown) else shown


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of equal length as a table for a screen."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    )


def markdown_table(rows: Sequence[Sequence[Any]]) -> str:
    """Rows of equal length, the first of which is the head, as Markdown."""
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    cells = ([str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in lines)
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)

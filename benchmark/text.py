"""Text that somebody else wrote, made safe to show: one home for all outputs."""

from __future__ import annotations

import re

# What no screen shows as itself: control characters, marks that turn the direction of the text
# around them, other characters without width, and halves of surrogate pairs (bytes of a file name
# that are not UTF-8).
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

# What a spreadsheet takes for the start of a formula, full-width forms included.
_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]")


def visible(text: str) -> str:
    """The text on one line, every character seen: ``\\n``, ``\\x1b`` and ``\\u202e`` are escaped.

    A title cannot colour or rewrite a terminal, nor turn the words after it around. Text without
    such characters is returned as it is.
    """
    return text if text.isprintable() else _HIDDEN.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    if character in _NAMED:
        return _NAMED[character]
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte of a file name that is not UTF-8
        code -= 0xDC00
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def csv_text(text: str) -> str:
    """Text for a cell of a CSV file that people open: `visible`, and never read as a formula.

    A spreadsheet runs a cell that begins with ``=``, ``+``, ``-`` or ``@``; an apostrophe before it
    makes it text. Numbers do not go through here.
    """
    shown = visible(text)
    return f"'{shown}" if _FORMULA.match(shown) else shown

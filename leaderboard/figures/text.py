"""Texts in figures: only what the font can draw, no wider than its place.

The font is DejaVu Sans, which ships with matplotlib, so that figures are equal on all machines.
"""

from __future__ import annotations

import unicodedata
from functools import cache, lru_cache

from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import FT2Font

from benchmark.text import visible
from leaderboard.statistics import difference_text

FONT = "DejaVu Sans"
_POINT = 25.4 / 72  # mm
_EM = 200  # font size of measurements, so large that rounding to pixels is negligible


def printable(text: str) -> str:
    """The text with characters that the font has, others by a near one or their code.

    ``"Ａ"`` (full-width) becomes ``"A"``, ``"模"`` becomes ``"\\\\u6a21"``: two different names
    stay different.
    """
    return text if text.isascii() else "".join(map(_printable_character, text))


@cache
def _printable_character(character: str) -> str:
    glyphs = _font("normal").get_charmap().keys() & _font("bold").get_charmap().keys()
    for form in (character, unicodedata.normalize("NFKC", character)):
        if all(ord(part) in glyphs for part in form):
            return form
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def clean(text: str) -> str:
    """The text in one line of visible, `printable` characters."""
    return printable(" ".join(visible(text).split()))


def shorten(text: str, length: int = 34) -> str:
    """At most `length` characters, the last one an ellipsis where something was cut."""
    text = clean(text)
    return text if len(text) <= length else text[: length - 1] + "…"


def signed(value: float, digits: int = 2) -> str:
    """`difference_text` with a minus sign as wide as the plus (U+2212)."""
    return difference_text(value, digits).replace("-", "−")


@cache
def _font(weight: str) -> FT2Font:
    return get_font(findfont(FontProperties(family=[FONT], weight=weight)))


@lru_cache(maxsize=10_000)
def _ems(text: str, weight: str) -> float:
    font = _font(weight)
    font.set_size(_EM, 72)
    font.set_text(text, 0.0)
    return font.get_width_height()[0] / 64 / _EM


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Width of a line of text in mm, once it is `clean`; `size` is the font size in points."""
    return _ems(clean(text), weight) * size * _POINT


def fit_text(text: str, width: float, size: float, weight: str = "normal") -> str:
    """The text, cut with an ellipsis where it is wider than `width` mm."""
    text = clean(text)
    short, long = 0, len(text)
    while short < long:
        middle = (short + long + 1) // 2
        if text_width(shorten(text, middle), size, weight) <= width:
            short = middle
        else:
            long = middle - 1
    return shorten(text, short) if short else ""

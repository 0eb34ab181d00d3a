"""Text for LaTeX: printed literally by every engine, and how wide it is."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from benchmark.text import visible

#: Character → its LaTeX in text.
_LATEX = {
    "\\": r"\textbackslash{}",
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
    "`": r"\`{}",
    "±": r"$\pm$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "→": r"$\rightarrow$",
    "←": r"$\leftarrow$",
    "−": "$-$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "≠": r"$\neq$",
    "≈": r"$\approx$",
    "∞": r"$\infty$",
    "√": r"$\surd$",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "§": r"$\mathsection$",
    "…": r"\dots{}",
    "—": "---",
    "–": "--",
    "‑": "-",
    "‘": "`{}",
    "’": "'{}",
    "“": "``{}",
    "”": "''{}",
    "•": r"$\bullet$",
    "°": r"$^\circ$",
    "µ": r"$\mu$",
    "¿": "?`{}",
    "¡": "!`{}",
    "ß": r"\ss{}",
    **{"æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}"},
    **{"ø": r"\o{}", "Ø": r"\O{}", "ł": r"\l{}", "Ł": r"\L{}"},
}

#: Combining mark → the accent that every font encoding of LaTeX has.
_ACCENTS = dict(zip("\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030b\u030c", "`'^~=u.\"Hv"))
_ACCENTS |= {"\u030a": "r", "\u0323": "d", "\u0327": "c", "\u0331": "b"}

#: Other characters without a decomposition → ASCII.
_ASCII = dict(zip("đĐðÞþħĦıŋŊ⁄", ("d", "D", "d", "Th", "th", "h", "H", "i", "ng", "Ng", "/")))
_ASCII |= {
    "«": "<<",
    "»": ">>",
    "„": '"',
    "‚": "'",
    "‐": "-",
    "‒": "-",
    "―": "-",
    "€": "EUR",
    "£": "GBP",
}
_ASCII |= {"©": "(c)", "®": "(R)"}
_CYRILLIC = (
    *("a", "b", "v", "g", "d", "e", "zh", "z", "i", "y", "k", "l", "m", "n", "o", "p", "r", "s"),
    *("t", "u", "f", "kh", "ts", "ch", "sh", "shch", "'", "y", "'", "e", "yu", "ya"),
)
_ASCII |= {chr(0x430 + place): text for place, text in enumerate(_CYRILLIC)}
_ASCII |= {chr(0x410 + place): text.capitalize() for place, text in enumerate(_CYRILLIC)}
_ASCII |= {"є": "ye", "Є": "Ye", "і": "i", "І": "I", "ґ": "g", "Ґ": "G"}

#: Greek letters with a symbol in LaTeX, as capitals and as small letters.
_GREEK = {"gamma", "delta", "theta", "lambda", "xi", "pi", "sigma", "upsilon", "phi", "psi"}
_GREEK |= {"omega"}
_SMALL_GREEK = _GREEK | {"alpha", "beta", "epsilon", "zeta", "eta", "iota", "kappa", "mu", "nu"}
_SMALL_GREEK |= {"rho", "tau", "chi"}

# Widths in em of Computer Modern at 10 pt, the widest of the fonts that papers are set in; other
# characters count as `_WIDEST`.
_WIDTHS = {
    **dict.fromkeys("ijl.,:;'!|[]`", 0.28),
    **dict.fromkeys("()- rstIf{}", 0.4),
    **dict.fromkeys('acekz?"^', 0.46),
    **dict.fromkeys("bdghnopquvxy/*_$~–↑↓S§J", 0.56),
    **dict.fromkeys("ABCDEFLPRTYZUVXHKGNOQ&+<>=±×−", 0.79),
    **dict.fromkeys("0123456789", 0.5),
    **dict.fromkeys("mw%MW—…→#\\@", 1.0),
    **dict.fromkeys("†‡", 0.44),
}
_WIDEST = 1.0


def escape(text: str) -> str:
    """Text that LaTeX prints literally, on one line, in ASCII.

    Accented Latin letters become LaTeX's accents, Greek ones its symbols. Any other character
    becomes ``\\boardchar{CODE}{FALLBACK}``, which prints the character where the engine and the
    font have it, else its transliteration or, without one, its code (``U+5317``).
    """
    shown = unicodedata.normalize("NFC", re.sub(r"\s+", " ", visible(text)).strip())
    # {} keeps two signs from joining: -- is a dash, '' a quotation mark.
    separated = re.sub(r"([-',])(?=\1)", "\\1\0", shown)
    return "".join("{}" if char == "\0" else _character(char) for char in separated)


def number(text: str) -> str:
    """A cell of numbers: `escape`, with minus signs and powers of ten as LaTeX prints them."""
    found = escape(re.sub(r"(?<![\w.)])-(?=\d)", "−", text))
    return re.sub(r"(?<=\d)e([+-]\d+)\b", lambda m: rf"$\cdot10^{{{int(m[1])}}}$", found)


def text_width(text: str) -> float:
    """Width of a text set in a size of 1 pt; at least that of Computer Modern at 10 pt."""
    return sum(map(_width, text))


@cache
def _width(char: str) -> float:
    if char in _WIDTHS or char in _LATEX or char.isascii():
        return _WIDTHS.get(char, _WIDEST)
    # The wider of the character and its transliteration.
    return max(_WIDEST, text_width(re.sub(r"[\\{}]", "", _transliterated(char))))


def lines_within(text: str, width: float) -> list[str]:
    """The text in lines of at most `width` (as `text_width`), broken at spaces where it can be."""
    lines = [""]
    for word in text.split():
        for piece in _pieces(word, width):
            longer = f"{lines[-1]} {piece}".lstrip()
            if lines[-1] and text_width(longer) > width:
                lines.append(piece)
            else:
                lines[-1] = longer
    return lines


def _pieces(word: str, width: float) -> list[str]:
    """A word in pieces of at most `width`, or of one character."""
    pieces = [""]
    for char in word:
        if pieces[-1] and text_width(pieces[-1] + char) > width:
            pieces.append("")
        pieces[-1] += char
    return pieces


@cache
def _character(char: str) -> str:
    if char in _LATEX:
        return _LATEX[char]
    if char.isascii():
        return char
    base, *marks = unicodedata.normalize("NFD", char)
    if len(marks) == 1 and marks[0] in _ACCENTS and base.isascii():
        return f"\\{_ACCENTS[marks[0]]}{{{base}}}"
    kind = unicodedata.decomposition(char).partition(" ")[0]
    if kind in ("<super>", "<sub>"):
        return rf"\text{kind[1:-1]}script{{{_transliterated(char)}}}"
    return _greek(char) or rf"\boardchar{{{ord(char)}}}{{{_transliterated(char)}}}"


def _greek(char: str) -> str | None:
    """The symbol of LaTeX for a Greek letter."""
    words = unicodedata.name(char, "").split()
    if len(words) != 4 or words[0] != "GREEK" or words[2] != "LETTER":
        return None
    name = words[3].lower().replace("lamda", "lambda")
    if words[1] == "SMALL" and name in _SMALL_GREEK:
        return rf"$\{name}$"
    return rf"$\{name.capitalize()}$" if words[1] == "CAPITAL" and name in _GREEK else None


def _transliterated(char: str) -> str:
    """A character in ASCII, with the signs of LaTeX escaped."""
    if symbol := _greek(char):
        return symbol
    if char in _ASCII:
        return "".join(map(_character, _ASCII[char]))
    parts = unicodedata.normalize("NFKD", char)
    bases = [part for part in parts if not unicodedata.combining(part)]
    name = unicodedata.name(char, "").split()
    if "SYLLABLE" in name or name[:2] in (["HIRAGANA", "LETTER"], ["KATAKANA", "LETTER"]):
        return name[-1].lower()
    if parts != char and bases:
        return "".join(
            _character(part) if part in _LATEX or part.isascii() else _transliterated(part)
            for part in bases
        )
    return f"U+{ord(char):04X}"


#: Character → its LaTeX in text, for all characters that the page must not write as they are.
CHARACTERS = _LATEX | {
    letter: symbol for letter in map(chr, range(0x391, 0x3CA)) if (symbol := _greek(letter))
}

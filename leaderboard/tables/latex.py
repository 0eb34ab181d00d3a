"""The leaderboard as LaTeX tables in the style of the papers (booktabs)."""

from __future__ import annotations

import re

from benchmark.text import visible
from leaderboard.build import Leaderboard
from leaderboard.tables.grids import Entry, Grid, headline, sections

_HEAD = """\
% Made by tools/leaderboard.py; one table per section.
% Needs \\usepackage{booktabs} and \\usepackage{graphicx}; UTF-8 input is LaTeX's default.
"""

#: Sign → what LaTeX prints as that sign in text. Greek letters and arrows are not in text fonts.
_SIGNS = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
    "`": r"\textasciigrave{}",
    "±": r"$\pm$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "→": r"$\rightarrow$",
    "−": "$-$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "²": r"$^2$",
    "†": r"$^\dagger$",
    "…": r"\dots{}",
    "—": "---",
    "–": "--",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "γ": r"$\gamma$",
    "η": r"$\eta$",
    "λ": r"$\lambda$",
    "σ": r"$\sigma$",
    "χ": r"$\chi$",
}


def escape(text: str) -> str:
    """Text that LaTeX prints as it is, on one line."""
    return re.sub(r"\s+", " ", "".join(_SIGNS.get(sign, sign) for sign in visible(text))).strip()


def _entry(entry: Entry) -> str:
    wrap = {1: r"\textbf{%s}", 2: r"\underline{%s}"}.get(entry.place, "%s")
    # A rank in brackets at the start of a row would be read as an option of the \\ before it; it
    # never is: the first entry of a row is a name, without suffix.
    return (wrap % escape(entry.text) + " " + escape(entry.suffix)).strip()


def _cells(words: list[str]) -> str:
    # {} keeps a name in brackets from being an option of the line break before it.
    return "{}" + " & ".join(words) + r" \\"


def _spanned(grid: Grid) -> list[str]:
    """The line of heads that span columns, and the rules below them."""
    words, rules, start = [], [], 1
    for title, width in grid.over:
        if title:
            words.append(rf"\multicolumn{{{width}}}{{c}}{{{escape(title)}}}")
            rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
        else:
            words += [""] * width
        start += width
    return [_cells(words), "".join(rules)]


def _table(grid: Grid, caption: str, label: str) -> list[str]:
    columns = "l" * grid.left + "r" * (len(grid.head) - grid.left)
    lines = [
        r"\begin{table*}",
        r"\centering",
        rf"\caption{{{escape(caption)}}}",
        rf"\label{{tab:{label}}}",
        r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
    ]
    if grid.over:
        lines += [*_spanned(grid), _cells([escape(head) for head in grid.short])]
    else:
        lines.append(_cells([escape(head) for head in grid.head]))
    lines.append(r"\midrule")
    lines += [_cells([_entry(entry) for entry in row]) for row in grid.rows]
    return [*lines, r"\bottomrule", r"\end{tabular}}", r"\end{table*}"]


def to_latex(leaderboard: Leaderboard) -> str:
    """Every table as a ``table*`` with caption and label; sections without a board are left out.

    Best in bold, second underlined, † as in the other formats, mean ± standard deviation.
    """
    lines = [_HEAD]
    for section in sections(leaderboard):
        if section.board is None:
            continue
        for number, grid in enumerate(section.grids):
            parts = [leaderboard.title, section.title, grid.heading]
            caption = ". ".join(part for part in parts if part) + f". {headline(leaderboard)}."
            label = re.sub(r"[^A-Za-z0-9-]", "-", section.board.id) + (f"-{number}" * bool(number))
            lines += [*_table(grid, caption, label), ""]
    return "\n".join(lines)

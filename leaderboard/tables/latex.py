"""The leaderboard as LaTeX tables in the style of the papers (booktabs)."""

from __future__ import annotations

import re

from benchmark.text import visible
from leaderboard.build import Leaderboard
from leaderboard.tables.grids import Entry, Grid, headline, sections

_PREAMBLE = """\
% Made by tools/leaderboard.py; one table per section.
% Needs \\usepackage{booktabs} and \\usepackage{graphicx}; UTF-8 input is LaTeX's default.
"""

#: Character → its LaTeX in text. Greek letters and arrows are not in text fonts.
_LATEX = {
    "\\": r"\textbackslash{}",
    **{char: f"\\{char}" for char in "&%$#_{}"},
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
    "‡": r"$^\ddagger$",
    "§": r"\S{}",
    "…": r"\dots{}",
    "—": "---",
    "–": "--",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "γ": r"$\gamma$",
    "η": r"$\eta$",
    "λ": r"$\lambda$",
    "ρ": r"$\rho$",
    "σ": r"$\sigma$",
    "χ": r"$\chi$",
}


def escape(text: str) -> str:
    """Text that LaTeX prints literally, on one line."""
    return re.sub(r"\s+", " ", "".join(_LATEX.get(char, char) for char in visible(text))).strip()


def _entry(entry: Entry) -> str:
    wrap = {1: r"\textbf{%s}", 2: r"\underline{%s}"}.get(entry.place, "%s")
    return (wrap % escape(entry.text) + " " + escape(entry.suffix)).strip()


def _line(cells: list[str]) -> str:
    # After {}, a name in brackets is not an option of the line break before it.
    return "{}" + " & ".join(cells) + r" \\"


def _spanning_header(grid: Grid) -> list[str]:
    """The line of headers that span columns, and the rules below them."""
    cells, rules, start = [], [], 1
    for title, width in grid.spans:
        if title:
            cells.append(rf"\multicolumn{{{width}}}{{c}}{{{escape(title)}}}")
            rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
        else:
            cells += [""] * width
        start += width
    return [_line(cells), "".join(rules)]


def _table(grid: Grid, caption: str, label: str) -> list[str]:
    columns = "l" * grid.n_text + "r" * (len(grid.header) - grid.n_text)
    lines = [
        r"\begin{table*}",
        r"\centering",
        rf"\caption{{{escape(caption)}}}",
        rf"\label{{tab:{label}}}",
        r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
    ]
    if grid.spans:
        lines += [*_spanning_header(grid), _line([escape(head) for head in grid.subheader])]
    else:
        lines.append(_line([escape(head) for head in grid.header]))
    lines.append(r"\midrule")
    lines += [_line([_entry(entry) for entry in row]) for row in grid.rows]
    return [*lines, r"\bottomrule", r"\end{tabular}}", r"\end{table*}"]


def to_latex(leaderboard: Leaderboard) -> str:
    """Every table of a board as a ``table*`` with caption and label.

    Best in bold, second underlined, † as in the other formats, mean ± standard deviation.
    """
    lines = [_PREAMBLE]
    for section in sections(leaderboard):
        if not section.id:
            continue
        for number, grid in enumerate(section.grids):
            parts = [leaderboard.title, section.title, grid.heading]
            caption = ". ".join(part for part in parts if part) + f". {headline(leaderboard)}."
            label = re.sub(r"[^A-Za-z0-9-]", "-", section.id) + (f"-{number}" * bool(number))
            lines += [*_table(grid, caption, label), ""]
    return "\n".join(lines)

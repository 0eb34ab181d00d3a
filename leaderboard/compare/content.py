"""The content of the documents of the comparison, before any markup."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from leaderboard.columns import Column
from leaderboard.compare.correlation import rank_correlations
from leaderboard.compare.side_by_side import PAPERS, Pair, PairedTable
from leaderboard.statistics import difference_text, mean_std, rounded
from leaderboard.tables.grids import Entry, Grid

TITLE = "Published and measured"

#: Differences of more units than this are in bold.
LARGE = 2.0

NOT_RUN = "not run yet"
OTHER_DEFINITION = "other definition"

_NOTES = (
    "Difference: measured minus published mean. In units of both stds: the difference divided by "
    "√(s_p² + s_m²), the sample standard deviations over the seeds there and here; that is the "
    "standard deviation of the difference of two single runs. Where one of the two is not known, "
    "the other stands for it (marked *). Bold: more than "
    f"{LARGE:g} units.",
    "Published numbers have the decimals of the paper. Every table is compared with the runs of "
    "its own protocol; a metric of another definition than the paper's is shown without a "
    "difference. What has not run has the number of the command below the table that runs it, and "
    "— means that no number is known.",
)
_SUMMARY_NOTE = (
    "Numbers of cells. n: seeds of the measured ones; a cell with fewer seeds than its matrix asks "
    "for counts as measured. Not run yet: only cells with a published number. Counted: parameters "
    "and FLOPs, which are read off the configs and need no run."
)
_CORRELATION_NOTE = (
    "Spearman's ρ and Kendall's τ-b between the published and the measured numbers of the n "
    "methods that have both; not defined (—) for fewer than three methods or where one side is "
    "constant. Average rank: among the methods that are complete on both sides."
)


@dataclass(frozen=True, slots=True)
class Part:
    """A heading and what is below it.

    Attributes:
        title, level: heading and its level, 1 for that of the document.
        texts: paragraphs before the table.
        grid: the table, or None.
        commands: shell commands after it, numbered from 1.
    """

    title: str
    level: int
    texts: tuple[str, ...] = ()
    grid: Grid | None = None
    commands: tuple[str, ...] = ()


def parts(
    tables: Sequence[PairedTable],
    n_runs: Mapping[str, int],
    problems: Iterable[str] = (),
    title: str = TITLE,
) -> list[Part]:
    """The document: summary, rank correlations, then every table.

    Args:
        n_runs: protocol → number of its records; those of other protocols are only mentioned.
        problems: files that the reader skipped.
    """
    runs = ", ".join(f"{n_runs.get(name, 0):,} of protocol {name}" for name in PAPERS)
    others = [
        f"{n:,} record{'s' * (n != 1)} of protocol {name}"
        for name, n in sorted(n_runs.items())
        if name not in PAPERS
    ]
    ignored = [f"Not compared: {', '.join(others)}."] if others else []
    document = [
        Part(title, 1, (f"Runs: {runs}.", *ignored, *_NOTES)),
        Part("Summary", 2, (_SUMMARY_NOTE,), _summary(tables)),
    ]
    correlations = _correlations(tables)
    if correlations.rows:
        document.append(Part("Rank correlation", 2, (_CORRELATION_NOTE,), correlations))
    for protocol, paper in PAPERS.items():
        document.append(Part(paper, 2))
        of_paper = (table for table in tables if table.protocol == protocol)
        document += [
            Part(heading(table), 3, table.notes, _pairs(table), table.commands)
            for table in of_paper
        ]
    if skipped := tuple(problems):
        document.append(Part("Skipped files", 2, skipped))
    return document


def heading(table: PairedTable) -> str:
    """``Table IV: Components``."""
    return f"{table.source[0].upper()}{table.source[1:]}: {table.title}"


def _summary(tables: Sequence[PairedTable]) -> Grid:
    header = ("Table", "Paper", "Published", "Measured", "n", "Both", "Not run yet", "Counted")
    rows = []
    for table in tables:
        pairs = table.pairs
        scores = [pair for pair in pairs if pair.column.score]
        units = [abs(pair.units) for pair in scores if pair.units is not None]
        seeds = [pair.measured.n for pair in scores if pair.measured is not None]
        low, high = min(seeds, default=0), max(seeds, default=0)
        numbers = (
            sum(pair.published is not None for pair in pairs),
            len(seeds),
            (str(low) if low == high else f"{low}–{high}") if seeds else "—",
            sum(pair.difference is not None for pair in scores),
            sum(pair.command is not None and pair.published is not None for pair in scores),
            sum(pair.counted for pair in pairs),
        )
        median = f"{statistics.median(units):.2f}" if units else "—"
        texts = (heading(table), table.protocol, *map(str, numbers), median)
        rows.append(tuple(map(Entry, texts)))
    return Grid("", (*header, "Median |difference| in units"), 2, tuple(rows))


def _correlations(tables: Sequence[PairedTable]) -> Grid:
    rows = []
    for table in tables:
        for one in rank_correlations(table):
            values = map(difference_text, (one.spearman, one.kendall))
            texts = (heading(table), table.protocol, one.what, str(one.n), *values)
            rows.append(tuple(map(Entry, texts)))
    return Grid("", ("Table", "Paper", "Over", "n", "Spearman ρ", "Kendall τ"), 3, tuple(rows))


def _pairs(table: PairedTable) -> Grid:
    """One line per row and column."""
    header = ("Row", "Column", "Published", "Measured", "n", "Difference", "In units of both stds")
    rows = []
    for row in table.rows:
        for pair in row.pairs:
            large = pair.units is not None and abs(pair.units) > LARGE
            texts = [
                *(row.title, column_title(pair.column)),
                _published(pair),
                _measured(pair),
                str(pair.measured.n) if pair.measured and pair.measured.n else "",
                _difference(pair),
            ]
            units = Entry(_units(pair), place=int(large))
            rows.append((*map(Entry, texts), units))
    return Grid("", header, 2, tuple(rows))


def column_title(column: Column) -> str:
    """A column as printed, with its unit where it is not a score."""
    if column.score:
        return column.title
    return f"{column.label}, {column.unit}" if column.unit else column.label


def _published(pair: Pair) -> str:
    """With the decimals of the paper and separators of thousands."""
    if pair.published is None:
        return "—"
    printed = pair.published
    digits = pair.column.digits if printed.decimals is None else printed.decimals
    known = (one for one in (printed.mean, printed.std) if one is not None)
    return " ± ".join(f"{Decimal(rounded(one, digits)):,}" for one in known)


def _measured(pair: Pair) -> str:
    if pair.measured is not None:
        return mean_std(pair.measured, pair.column.digits) + " (counted)" * pair.counted
    return "—" if pair.command is None else f"{NOT_RUN} ({pair.command + 1})"


def _difference(pair: Pair) -> str:
    if pair.other:
        return OTHER_DEFINITION
    return "" if pair.difference is None else difference_text(pair.difference, pair.column.digits)


def _units(pair: Pair) -> str:
    if pair.difference is None:
        return ""
    if pair.units is None:
        return "—"
    return difference_text(pair.units) + "*" * pair.assumed

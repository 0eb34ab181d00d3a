"""The board in print: Markdown for people, a long CSV for programs.

Both are functions of the board alone, without dates or machine names: equal records give equal
bytes. `grids` is what any other renderer (the screen, a page) starts from.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from leaderboard.board import ALPHA, Board, Cell, Column, Comparison, Row
from leaderboard.statistics import Summary

METRIC_NAMES = {
    "dsc": "DSC",
    "cldice": "clDice",
    "map50": "mAP50",
    "map75": "mAP75",
    "map": "mAP",
    "psnr": "PSNR",
    "ssim": "SSIM",
}

CSV_HEADER = (
    *("method", "dataset", "metric", "definition", "seeds", "mean", "std", "rank"),
    *("difference", "ci_low", "ci_high", "p", "p_holm"),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """Text of one table cell; `place` 1 is the best of its column, 2 the second, 0 unmarked."""

    text: str
    place: int = 0
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """One table: its heading, its column heads (the first `left` are words, left-aligned), rows."""

    heading: str
    head: tuple[str, ...]
    left: int
    rows: tuple[tuple[Entry, ...], ...]


def headline(board: Board) -> str:
    """Protocol and reference, in one line."""
    if board.reference_title is None:
        return f"Protocol: {board.protocol} · reference: {board.reference} (no results, no tests)"
    return f"Protocol: {board.protocol} · reference: {board.reference_title} ({board.reference})"


def grids(board: Board) -> list[Grid]:
    """The tables of a board in the order of print; those without rows are left out."""
    name = board.reference_title
    tables = [
        _scores(board),
        _tests(f"Paired t-test against {name}", board.comparisons),
        _tests(f"Overall paired t-test against {name}", board.overall),
    ]
    return [table for table in tables if table.rows]


def _spread(value: Summary) -> str:
    return f"{value.mean:.2f}" + ("" if value.std is None else f" ± {value.std:.2f}")


def _label(column: Column) -> str:
    return METRIC_NAMES.get(column.metric, column.metric)


def _ranges(numbers: Iterable[int]) -> str:
    """``0–2, 4`` for 0, 1, 2, 4."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in runs)


def _scores(board: Board) -> Grid:
    def entry(cell: Cell | None) -> Entry:
        if cell is None:
            return Entry("")
        suffix = "" if cell.rank is None else f" [{cell.rank}]"
        return Entry(_spread(cell.summary), cell.place if cell.place <= 2 else 0, suffix)

    def line(row: Row) -> tuple[Entry, ...]:
        counts = {cell.summary.n for cell in row.cells if cell is not None}
        low, high = min(counts), max(counts)
        average = "" if row.average_rank is None else _spread(row.average_rank)
        words = (row.title, row.family, row.pretraining)
        n = str(low) if low == high else f"{low}–{high}"
        return (*map(Entry, (*words, n, average)), *map(entry, row.cells))

    arrows = {True: "↑", False: "↓"}
    heads = [f"{c.dataset} {_label(c)} {arrows[c.higher_is_better]}" for c in board.columns]
    return Grid(
        heading="Scores",
        head=("Method", "Family", "Pre-training", "n", "Average rank", *heads),
        left=3,
        rows=tuple(line(row) for row in board.rows),
    )


def _p(value: float | None) -> str:
    if value is None:
        return "—"
    return "<0.0001" if value < 1e-4 else f"{value:.4f}"


def _tests(heading: str, comparisons: Sequence[Comparison]) -> Grid:
    overall = all(comparison.column is None for comparison in comparisons)
    where = () if overall else ("Dataset", "Metric")

    def line(comparison: Comparison) -> tuple[Entry, ...]:
        test, column = comparison.test, comparison.column
        place = () if column is None else (column.dataset, _label(column))
        difference = "—" if test.difference is None else f"{test.difference:+.2f}"
        interval = "—" if test.ci_low is None else f"{test.ci_low:+.2f} … {test.ci_high:+.2f}"
        numbers = (str(test.n), difference, interval, _p(test.p), _p(comparison.p_holm))
        return tuple(map(Entry, (comparison.title, *place, *numbers, comparison.verdict)))

    tail = ("n", "Mean difference", "95 % CI", "p", "p (Holm)", "Verdict")
    rows = tuple(line(comparison) for comparison in comparisons)
    return Grid(heading, ("Method", *where, *tail), 1 + len(where), rows)


def notes(board: Board) -> list[str]:
    """What a reader needs to read the tables, one paragraph each."""
    found = [
        "Scores are in percent (PSNR in dB): mean ± sample standard deviation (n − 1) over n "
        "seeds; one seed has no ±. Where all seeds fine-tune one pre-trained encoder, ± and p "
        "speak about fine-tuning, not about repeating the pre-training.",
        "[k] is the rank in the column among the rows with every cell; ties share the better "
        "rank. The average rank is the mean ± sample standard deviation of these ranks over the "
        "columns; a row with an empty cell has none. Bold is the best mean of a column and "
        "underlined the second, among all its rows: neither says that a difference is significant.",
        *_test_notes(board),
        *_seed_notes(board),
    ]
    found += [
        f"{method} on {dataset}: the seeds come from more than one configuration or corpus, so ± "
        "is not the spread over seeds alone."
        for method, dataset in board.mixed
    ]
    return found + [f"Left out: {problem}" for problem in board.problems]


def _test_notes(board: Board) -> list[str]:
    name = board.reference_title
    if name is None:
        return [f"The reference {board.reference} has no results here, so nothing is tested."]
    reference = next(row for row in board.rows if row.method == board.reference)
    missing = [
        f"{column.dataset} {_label(column)}"
        for column, cell in zip(board.columns, reference.cells)
        if cell is None
    ]
    sizes: dict[str, int] = {}
    for comparison in board.comparisons:
        dataset = comparison.column.dataset
        sizes[dataset] = sizes.get(dataset, 0) + (comparison.p_holm is not None)
    found = []
    if sizes:
        listed = ", ".join(f"{dataset} {size}" for dataset, size in sizes.items())
        found.append(
            f"Tests: two-sided paired t-test over common seeds of each method against {name}, "
            "which was fixed beforehand; the difference is method minus reference. Holm's "
            "correction runs within a dataset. Family: all tests of that dataset in the table, "
            "every other method in every metric; undefined tests do not count. Size of the "
            f"family: {listed}. Better or worse means p (Holm) < {ALPHA}; the 95 % CI is not "
            "corrected."
        )
    if board.overall:
        size = sum(comparison.p_holm is not None for comparison in board.overall)
        found.append(
            "Overall test: two-sided paired t-test over the metric means, n columns, for every "
            f"row without an empty cell. Family: all tests of that table, {size}. Columns are "
            "neither independent nor equally scaled; read it as a summary."
        )
    if missing:
        found.append(f"No tests, for want of results of {name}: {', '.join(missing)}.")
    return found


def _seed_notes(board: Board) -> list[str]:
    """One sentence per row that lacks seeds which another row has on the same dataset."""
    known: dict[str, set[int]] = {}
    for row in board.rows:
        for column, cell in zip(board.columns, row.cells):
            known.setdefault(column.dataset, set()).update(cell.seeds if cell else ())
    found = []
    for row in board.rows:
        lacking = {
            f"{column.dataset} {_label(column)} {_ranges(known[column.dataset] - set(cell.seeds))}"
            for column, cell in zip(board.columns, row.cells)
            if cell and known[column.dataset] - set(cell.seeds)
        }
        if lacking:
            found.append(f"Missing seeds of {row.title}: {'; '.join(sorted(lacking))}.")
    return found


def _escape(text: str) -> str:
    """Text that Markdown prints as it is, on one line and inside one table cell."""
    for sign in "\\|*`":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.replace("<", "&lt;").replace(">", "&gt;").split())


def _markdown_entry(entry: Entry) -> str:
    wrap = {1: "**{}**", 2: "<u>{}</u>"}.get(entry.place, "{}")
    return wrap.format(_escape(entry.text)) + entry.suffix


def _markdown_grid(grid: Grid) -> list[str]:
    rules = [":--"] * grid.left + ["--:"] * (len(grid.head) - grid.left)
    lines = [map(_escape, grid.head), rules, *(map(_markdown_entry, row) for row in grid.rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def to_markdown(board: Board) -> str:
    """The board as a Markdown document that ends in a newline."""
    lines = [f"# {_escape(board.title)}", "", _escape(headline(board))]
    for grid in grids(board):
        lines += ["", f"## {_escape(grid.heading)}", "", *_markdown_grid(grid)]
    lines += ["", "## Notes", "", *(f"- {_escape(note)}" for note in notes(board))]
    return "\n".join(lines) + "\n"


def to_csv(board: Board) -> str:
    """The board as CSV text with the columns `CSV_HEADER`: one line per method and metric column.

    Numbers are at full precision, in the metric's units; ``seeds`` is their count; what is
    undefined or missing is empty, and a method without a cell has no line.
    """
    tests = {(c.method, c.column): c for c in board.comparisons}
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CSV_HEADER)
    for row in board.rows:
        for column, cell in zip(board.columns, row.cells):
            if cell is None:
                continue
            line = [row.method, column.dataset, column.metric, column.definition]
            line += [cell.summary.n, cell.summary.mean, cell.summary.std, cell.rank]
            comparison = tests.get((row.method, column))
            if comparison is None:
                line += [None] * 5
            else:
                test = comparison.test
                line += [test.difference, test.ci_low, test.ci_high, test.p, comparison.p_holm]
            writer.writerow(line)
    return stream.getvalue()

"""What a reader needs to read the tables, in words."""

from __future__ import annotations

from collections.abc import Iterable

from leaderboard.board import Board
from leaderboard.build import Leaderboard
from leaderboard.comparisons import ALPHA, CORRECTIONS, comparisons, overall
from leaderboard.statistics import prints_as_zero


def general_notes(leaderboard: Leaderboard) -> list[str]:
    """What holds for all boards, and the files that were left out, one paragraph each."""
    boards = leaderboard.boards
    found = [
        "Scores are in percent (PSNR in dB): mean ± sample standard deviation (n − 1) over n "
        "seeds; one seed has no ±. Where all seeds fine-tune one pre-trained encoder, ± and p "
        "speak about fine-tuning, not about repeating the pre-training.",
        "[k] is the rank in the column among the rows with every cell; ties share the better "
        "rank. The average rank is the mean ± sample standard deviation of these ranks over the "
        "columns, with a 95 % bootstrap interval over the data sets where there are several; a row "
        "with an empty cell has none. Bold is the best mean of a column and underlined the second, "
        "among all its rows: neither says that a difference is significant.",
    ]
    if any(cell and cell.tier for board in boards for row in board.rows for cell in row.cells):
        found.append(
            "† marks what is not separable from the best of its column: paired t-test over common "
            f"seeds against the best, Holm's correction over the column, p ≥ {ALPHA}. The best is "
            "picked by the same data, so the mark may be missing by chance more often than that. "
            "No † beside a test that is undefined."
        )
    if any(row.context for board in boards for row in board.rows):
        found.append(
            "Rows with a source are published numbers, for orientation: obtained by others, with "
            "their splits and their code. They have no rank, no mark and no test here."
        )
    if leaderboard.reference_title is None:
        found.append(
            f"The reference {leaderboard.reference} has no results here, so nothing is tested."
        )
    elif any(comparisons(board, board.reference) for board in boards):
        found.append(_family_note(leaderboard.correction))
    tested = [*boards, *([leaderboard.combined] if leaderboard.combined else [])]
    if any(overall(board, board.reference) for board in tested if not board.analysis):
        found.append(
            "Overall test: two-sided paired t-test over the means of the n columns in percent, for "
            "every row without an empty cell against the reference. Family: all tests of that "
            "table. Columns are neither independent nor equally scaled; read it as a summary."
        )
    return found


def _family_note(correction: str) -> str:
    adjusted = {
        "holm": "Holm's correction runs within a data set.",
        "bh": "Benjamini and Hochberg's correction runs within a data set: it bounds the share of "
        "false findings, not the chance of one.",
        "none": "p is not corrected: of 20 tests of equal methods one is expected below 0.05.",
    }[correction]
    return (
        "Tests: two-sided paired t-test over common seeds of each method against the reference, "
        f"which was fixed beforehand; the difference is method minus reference. {adjusted} Family: "
        "all tests of that data set in the table, every other method in every metric; undefined "
        f"tests do not count. Better or worse means p ({CORRECTIONS[correction]}) < {ALPHA}; the "
        "95 % CI is not corrected."
    )


def board_notes(board: Board, correction: str = "holm") -> list[str]:
    """What holds for one board: its sources, the size of its families, what is missing."""
    return [
        *board.notes,
        *_source_notes(board),
        *_friedman_notes(board),
        *_test_notes(board, correction),
        *_seed_notes(board),
    ]


def _source_notes(board: Board) -> list[str]:
    sources = {row.source: None for row in board.rows if row.context}
    return [f"Published rows from {'; '.join(sources)}."] if sources else []


def _friedman_notes(board: Board) -> list[str]:
    test = board.friedman
    if test is None or board.analysis:
        return []
    if test.n < 2:
        return ["Friedman's test repeats over data sets, and there is one only: not tested."]
    what = f"Friedman's test over {test.n} data sets, each by its first metric, of {test.k} rows"
    if test.p is None:
        return [f"{what}: {test.note}."]
    p = "p < 0.0001" if test.p < 1e-4 else f"p = {test.p:.4f}"
    found = (
        f"{what}: χ² = {test.statistic:.2f}, {p}; mean ranks that differ by less than "
        f"{test.critical_difference:.2f} are not separable (Nemenyi)"
    )
    return [f"{found}; {test.note}." if test.note else f"{found}."]


def _test_notes(board: Board, correction: str) -> list[str]:
    reference = board.row(board.reference)
    if reference is None:
        return []
    sizes: dict[str, int] = {}
    for comparison in comparisons(board, board.reference, correction):
        title = comparison.column.dataset_title
        sizes[title] = sizes.get(title, 0) + (comparison.test.p is not None)
    found = []
    if any(
        (p := comparison.p_used(correction)) is not None
        and p < ALPHA
        and prints_as_zero(comparison.test.difference)
        for kind in (comparisons, overall)
        for comparison in kind(board, board.reference, correction)
    ):
        found.append(
            f"A difference that rounds to 0.00 is called not separable, also where p < {ALPHA}."
        )
    if sizes:
        listed = ", ".join(f"{title} {size}" for title, size in sizes.items())
        found.append(f"Size of the family: {listed}.")
    missing = [column.title for column, cell in zip(board.columns, reference.cells) if cell is None]
    if missing and board.origin != "published":
        found.append(f"No tests, for want of results of {reference.title}: {', '.join(missing)}.")
    return found


def _seed_notes(board: Board) -> list[str]:
    """One sentence per row that lacks seeds which another row has on the same data set."""
    known: dict[str, set[int]] = {}
    for row in board.rows:
        for column, cell in zip(board.columns, row.cells):
            known.setdefault(column.dataset, set()).update(cell.values if cell else ())
    found = []
    for row in board.rows:
        lacking = {
            f"{column.title} {ranges(known[column.dataset] - set(cell.values))}"
            for column, cell in zip(board.columns, row.cells)
            if cell and cell.values and known[column.dataset] - set(cell.values)
        }
        if lacking:
            found.append(f"Missing seeds of {row.title}: {'; '.join(sorted(lacking))}.")
    return found


def ranges(numbers: Iterable[int]) -> str:
    """``0–2, 4`` for 0, 1, 2, 4."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in runs)

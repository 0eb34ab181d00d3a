"""The notes that explain the tables, and the meaning of the signs in one that has no notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from leaderboard.board import Board, Row
from leaderboard.build import Leaderboard
from leaderboard.columns import dataset_title
from leaderboard.comparable import (
    WARNINGS,
    difference_words,
    setting_differences,
    settings_agree,
    settings_differ,
)
from leaderboard.comparisons import CORRECTIONS, Comparison, comparisons, overall
from leaderboard.evaluations.overview import TITLE as RANKS_TITLE
from leaderboard.resampling import FEWEST_UNITS
from leaderboard.statistics import ALPHA, p_text, rounded, rounds_to_zero
from leaderboard.tables.costs import NOTE as COSTS_NOTE
from leaderboard.tables.grids import AVERAGE_RANK, P_HEADERS, TIER_MARK, Grid

#: Incomplete rows that a note lists by name.
_NAMED = 8

_CORRECTED = {
    P_HEADERS["holm"]: "corrected by Holm's method",
    P_HEADERS["bh"]: "corrected by Benjamini and Hochberg's method",
}

#: From the simulations at `FEWEST_UNITS`.
_COVERAGE = (
    "in simulations of symmetric and of skewed differences it covers the truth in 92 and 85 % of "
    "the cases with 5 units, 94 and 90 % with 10, 95 and 93 % with 20."
)


def general_notes(leaderboard: Leaderboard) -> list[str]:
    """What applies to all boards, one paragraph each.

    A note that explains a sign starts with it, so that the page can drop the notes on signs that
    the reader's choice does not show.
    """
    costs = [COSTS_NOTE] if leaderboard.costs else []
    return [*_score_notes(leaderboard), *_test_notes(leaderboard), *costs]


def _score_notes(leaderboard: Leaderboard) -> list[str]:
    boards = leaderboard.boards
    notes = [
        "Scores are in percent (PSNR in dB, indices of clusters without unit): mean ± sample "
        "standard deviation (n − 1) over n seeds; one seed has no ±. Where all seeds fine-tune one "
        "pre-trained encoder, ± and p describe fine-tuning, not repeated pre-training.",
        "Bold is the best mean of a column and underlined the second, among all its rows: neither "
        "implies that a difference is significant.",
    ]
    if any(board.ranked[0] for board in boards):
        notes[1:1] = [
            "[k] is the rank in the column among the complete rows; ties share the better rank.",
            "The average rank is the mean ± sample standard deviation of the ranks of a row in all "
            "columns, among the complete rows; a row with an empty cell has none.",
        ]
    if any(row.rank_interval for board in boards for row in board.rows):
        notes.append(
            f"Average ranks have a 95 % bootstrap interval over datasets where there are "
            f"{FEWEST_UNITS} or more: {_COVERAGE}"
        )
    if not all(column.score for board in boards for column in board.columns):
        notes.append(
            "Costs and numbers of images are not scores: they are neither ranked nor tested. A "
            "dash stands for what is not known."
        )
    if any(cell and cell.tier for board in boards for row in board.rows for cell in row.cells):
        notes.append(
            "† marks what is not separable from the best of its column: paired t-test over common "
            f"seeds against the best, Holm's correction over the column, p ≥ {ALPHA}. The best is "
            "picked by the same data, so the mark is missing by chance more often than that. An "
            "undefined test gives no †."
        )
    if any(row.context for board in boards for row in board.rows):
        notes.append(
            "Rows with a source are published numbers, for orientation: obtained by others, with "
            "their splits and their code. They have no rank, no mark and no test here."
        )
    return notes


def _test_notes(leaderboard: Leaderboard) -> list[str]:
    boards, notes = leaderboard.boards, []
    if leaderboard.reference_title is None:
        notes.append(
            f"The declared reference {leaderboard.reference} has no results here, so nothing is "
            "tested against it."
        )
    elif any(comparisons(board, board.reference) for board in boards):
        notes.append(_family_note(leaderboard.correction))
    tested = [*boards, *([leaderboard.combined] if leaderboard.combined else [])]
    if any(overall(board, board.reference) for board in tested if not board.analysis):
        notes.append(
            "Overall test: two-sided paired t-test over datasets, on the mean of the percent "
            "columns of each, for every complete row against the reference. Family: all tests of "
            "that table. Datasets are not equally scaled; read it as a summary. Beside it the "
            "papers' test over columns, uncorrected and without a verdict: columns of one dataset "
            "are correlated, so it calls equal methods different in more than 5 % of the cases."
        )
    if any(board.per_image for board in boards):
        notes.append(
            "Per-image tests ask whether the difference of these trained models would hold on "
            "other patients. The scores of an image are averaged over the common seeds; the unit "
            "is the patient where patients are known, with all of its images, else the image. "
            "p: sign-flip test, at least 2/2^k for k units (0.0625 for 5), corrected like the "
            "others within a dataset, as a family of its own. The interval is a bootstrap "
            f"interval, given for {FEWEST_UNITS} units or more: {_COVERAGE} Metrics that are not "
            "means over images (mAP) have no such test, nor do scores whose settings differ."
        )
    return notes


_DECLARED = "which is to be declared before the results are known (one chosen on the page is not)"


def _family_note(correction: str) -> str:
    adjustment = {
        "holm": "Holm's correction is applied within a dataset.",
        "bh": "Benjamini and Hochberg's correction is applied within a dataset: it bounds the "
        "share of false findings, not the chance of one.",
        "none": "p is not corrected: of 20 tests of equal methods one is expected below 0.05.",
    }[correction]
    return (
        "Tests: two-sided paired t-test over common seeds of each method against the reference, "
        f"{_DECLARED}; the difference is method minus reference. {adjustment} "
        "Family: all tests of that dataset in the table, every other method in every metric; "
        f"undefined tests do not count. Better or worse means p ({CORRECTIONS[correction]}) < "
        f"{ALPHA}; the 95 % CI is not corrected."
    )


def board_notes(board: Board, correction: str = "holm") -> list[str]:
    """What applies to one board: its sources, the size of its families, what is missing."""
    return [*fixed_notes(board), *reference_notes(board, board.reference, correction)]


def fixed_notes(board: Board) -> list[str]:
    """The notes on one board that do not depend on the reference of its tests."""
    return [
        *board.notes,
        *_source_notes(board),
        *_rank_notes(board),
        *_friedman_notes(board),
        *_mixed_settings_notes(board),
        *_seed_notes(board),
    ]


def _rank_notes(board: Board) -> list[str]:
    complete, competing = board.ranked
    if not board.ranks_methods or complete in (0, competing):
        return []
    left = [row.title for row in board.rows if not row.context and row.average_rank is None]
    named = ", ".join(left[:_NAMED]) + (f" and {len(left) - _NAMED} more" * (len(left) > _NAMED))
    return [
        f"Ranks are of the {complete} complete rows of {competing}, among each other; incomplete: "
        f"{named}."
    ]


def _source_notes(board: Board) -> list[str]:
    sources = {row.source: None for row in board.rows if row.context}
    return [f"Published rows from {'; '.join(sources)}."] if sources else []


def _friedman_notes(board: Board) -> list[str]:
    test = board.friedman
    if test is None or not board.ranks_methods:
        return []
    if test.n < 2:
        return ["Friedman's test needs several datasets, and there is only one: not tested."]
    what = f"Friedman's test over {test.n} datasets, each by its first metric, of {test.k} rows"
    if test.p is None:
        return [f"{what}: {test.note}."]
    result = (
        f"{what}: χ² = {rounded(test.statistic, 2)}, {p_text(test.p)}; mean ranks that differ by "
        f"less than {rounded(test.critical_difference, 2)} are not separable (Nemenyi)"
    )
    return [f"{result}; {test.note}." if test.note else f"{result}."]


def _mixed_settings_notes(board: Board) -> list[str]:
    """A note that ranks order scores whose settings differ; pairs of them are not tested."""
    mixed = {
        column.dataset_title: None
        for index, column in enumerate(board.columns)
        if settings_differ(cell.conditions for row in board.rows if (cell := row.cells[index]))
    }
    if not mixed:
        return []
    tested = ", ranks and Friedman's test" if board.friedman and board.friedman.p else " and ranks"
    return [
        f"Rows differ in settings that are not the methods' on {', '.join(mixed)}: bold, "
        f"underline{tested} order them nevertheless."
    ]


def reference_notes(board: Board, reference_id: str, correction: str = "holm") -> list[str]:
    """The notes on the tests of one board against a row; none without such a row."""
    reference = board.row(reference_id)
    if reference is None:
        return []
    tests = comparisons(board, reference_id, correction)
    notes = []
    if any(
        (p := comparison.p_used(correction)) is not None
        and p < ALPHA
        and rounds_to_zero(comparison.test.difference, _digits(comparison))
        for comparison in (*tests, *overall(board, reference_id, correction))
    ):
        notes.append(
            f"A difference that rounds to 0.00 is called not separable, even where p < {ALPHA}."
        )
    sizes: Counter[str] = Counter()
    for comparison in tests:
        sizes[comparison.column.dataset] += comparison.test.p is not None
    if sizes:
        listed = ", ".join(f"{dataset_title(name)} {size}" for name, size in sizes.items())
        notes.append(f"Size of the family: {listed}.")
    missing = [
        column.title
        for column, cell in zip(board.columns, reference.cells)
        if cell is None and column.score
    ]
    if missing and board.origin != "published":
        notes.append(f"Not tested, as {reference.title} has no results: {', '.join(missing)}.")
    return notes + _other_settings(board, reference)


def _other_settings(board: Board, reference: Row) -> list[str]:
    """The cells with other settings than the reference's, which the tests leave out."""
    found: dict[str, None] = {}
    for index, (column, usual) in enumerate(zip(board.columns, reference.cells)):
        for row in board.rows:
            ours, theirs = (cell and cell.conditions for cell in (row.cells[index], usual))
            if not settings_agree(ours, theirs):
                words = difference_words(setting_differences(ours.config, theirs.config))
                found[f"{row.title} on {column.dataset_title} ({words})"] = None
    if not found:
        return []
    return [
        f"Not tested against {reference.title}, as settings differ that are not the method's: "
        f"{'; '.join(found)}."
    ]


def _digits(comparison: Comparison) -> int:
    return comparison.column.digits if comparison.column else 2


def _seed_notes(board: Board) -> list[str]:
    """One sentence per row that lacks seeds that another row has on the same dataset."""
    seeds_of: dict[str, set[int]] = {}
    for row in board.rows:
        for column, cell in zip(board.columns, row.cells):
            seeds_of.setdefault(column.dataset, set()).update(cell.values if cell else ())
    notes = []
    for row in board.rows:
        missing = {
            f"{column.title}, seed {number_ranges(absent)}"
            for column, cell in zip(board.columns, row.cells)
            if cell and cell.values and (absent := seeds_of[column.dataset] - set(cell.values))
        }
        if missing:
            notes.append(f"Missing for {row.title}: {'; '.join(sorted(missing))}.")
    return notes


def number_ranges(numbers: Iterable[int]) -> str:
    """``0–2, 4`` for 0, 1, 2, 4."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in runs)


def legend(grid: Grid) -> list[str]:
    """The meaning of each sign that a table uses, and of no other, in the order of reading."""
    cells = [entry for row in grid.rows for entry in row]
    numbers = {
        head: [row[index].text for row in grid.rows]
        for index, head in enumerate(grid.header)
        if index >= grid.n_text
    }
    ranked = next((head for head in numbers if head.startswith(AVERAGE_RANK)), "")
    ranks = numbers.pop(ranked, [])
    scores = [text for texts in numbers.values() for text in texts]
    if grid.heading == RANKS_TITLE:
        ranks, scores = scores, []
    heads, suffixes = " ".join(grid.header), "".join(entry.suffix for entry in cells)
    is_test = "Verdict" in numbers
    adjusted = next((head for head in _CORRECTED if head in numbers), "p")
    meanings = {
        "n: number of seeds": "n" in numbers and not is_test,
        "n: number of common seeds": "n" in numbers and is_test,
        "±: sample standard deviation over seeds": _any(scores, "±"),
        "± of average ranks: over columns": _any(ranks, "±"),
        "(a–b): 95 % bootstrap interval over datasets": _any(ranks, "("),
        "bold: best of its column": any(entry.place == 1 for entry in cells),
        "underlined: second best": any(entry.place == 2 for entry in cells),
        "[k]: rank in the column among the complete rows, ties share the better": "[" in suffixes,
        f"{TIER_MARK}: not separable from the best of its column (paired t-test, Holm's "
        f"correction, p ≥ {ALPHA})": TIER_MARK in suffixes,
        **{f"{mark}: {words}": mark in suffixes for mark, words in WARNINGS.items()},
        "↑: higher is better": "↑" in heads,
        "↓: lower is better": "↓" in heads,
        "[a, b]: interval from a to b": _any(scores, "["),
        **{f"{head}: {words}": head == adjusted for head, words in _CORRECTED.items()},
        f"better, worse: {adjusted} < {ALPHA}": is_test
        and bool({"better", "worse"} & set(numbers["Verdict"])),
        "—: none, or not defined": any(entry.text == "—" for entry in cells),
        "empty: no result": any(not entry.text for entry in cells),
    }
    return [meaning for meaning, used in meanings.items() if used]


def _any(texts: list[str], sign: str) -> bool:
    return any(sign in text for text in texts)

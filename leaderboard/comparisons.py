"""The tests of a board against one reference, corrected within their families."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from leaderboard.board import Board, PerImage, Row
from leaderboard.columns import Column
from leaderboard.resampling import FEWEST_UNITS
from leaderboard.statistics import ALPHA, PairedT, benjamini_hochberg, holm, rounds_to_zero

#: Correction → its name in print.
CORRECTIONS = {"holm": "Holm", "bh": "Benjamini–Hochberg", "none": "uncorrected"}


#: Up to this many tests of all pairs of rows, a board has them against every row as reference.
MOST_TESTS = 20_000


@dataclass(frozen=True, slots=True)
class Comparison:
    """One row against the reference, in one column or (column None) over datasets.

    Attributes:
        test: difference is row minus reference; see `PairedT`.
        p_holm, p_bh: p-value adjusted within its family by Holm and by Benjamini and Hochberg;
            None where the test is undefined.
        verdict: ``"better"``, ``"worse"``, ``"not separable"``, or the note of an undefined test.
            Never better or worse by a difference that is printed as 0.00, whatever its p-value:
            no score is known that precisely, and so small a spread is mostly rounding.
        per_image: the test over images, where it was asked for.
        image_p_holm, image_p_bh: its p-value, adjusted within its family.
        over_columns: for an overall test, the papers' test, paired over the columns.
    """

    row: Row
    column: Column | None
    test: PairedT
    p_holm: float | None
    p_bh: float | None
    verdict: str
    per_image: PerImage | None = None
    image_p_holm: float | None = None
    image_p_bh: float | None = None
    over_columns: PairedT | None = None

    def p_used(self, correction: str) -> float | None:
        """The p-value that a verdict under this correction (`CORRECTIONS`) is based on."""
        return {"holm": self.p_holm, "bh": self.p_bh, "none": self.test.p}[correction]

    def image_p_used(self, correction: str) -> float | None:
        """The p-value of the test over images under this correction."""
        raw = self.per_image and self.per_image.p
        return {"holm": self.image_p_holm, "bh": self.image_p_bh, "none": raw}[correction]


# Cached, because the tables and their notes need the same tests.
@lru_cache(maxsize=256)
def comparisons(board: Board, reference: str, correction: str = "holm") -> tuple[Comparison, ...]:
    """Every other row against `reference`, in the order of columns and rows.

    Paired t-tests over common seeds. A family is all defined tests of one dataset; the tests over
    images of that dataset are a family of their own.

    Args:
        reference: id of a row; without results of it, there are no tests.
        correction: `CORRECTIONS`; decides the verdicts only.
    """
    families: dict[str, list[tuple[Row, Column | None, PairedT]]] = defaultdict(list)
    for column, pairs in zip(board.columns, board.pairs):
        for row in board.rows:
            if (test := pairs.get((row.id, reference))) is not None:
                families[column.dataset].append((row, column, test))
    per_image = board.per_image if reference == board.reference else {}
    corrected = (_corrected(family, correction, per_image) for family in families.values())
    return tuple(itertools.chain.from_iterable(corrected))


@lru_cache(maxsize=256)
def overall(board: Board, reference: str, correction: str = "holm") -> tuple[Comparison, ...]:
    """The overall test of every complete row against `reference`.

    A two-sided paired t-test over datasets, on the mean of the percent columns of each; one family.
    Columns of one dataset are correlated, so the papers' test, over columns, calls equal methods
    different in more than 5 % of the cases: it is shown beside it, without a verdict. No interval
    for fewer than `FEWEST_UNITS` datasets. Empty with fewer than two of them, or where the
    reference is incomplete.
    """
    family = [
        (row, None, test if test.n >= FEWEST_UNITS else replace(test, ci_low=None, ci_high=None))
        for row in board.rows
        if (test := board.dataset_pairs.get((row.id, reference))) is not None
    ]
    return tuple(
        replace(comparison, over_columns=board.column_pairs[comparison.row.id, reference])
        for comparison in _corrected(family, correction, {})
    )


def _corrected(
    family: Sequence[tuple[Row, Column | None, PairedT]],
    correction: str,
    per_image: Mapping[tuple[str, str], PerImage],
) -> list[Comparison]:
    """The comparisons of one family, with adjusted p-values and verdicts."""
    raw = [test.p for _, _, test in family]
    adjusted = {"holm": holm(raw), "bh": benjamini_hochberg(raw), "none": raw}
    verdicts = [
        _verdict(test, p, column) for (_, column, test), p in zip(family, adjusted[correction])
    ]
    images = [per_image.get((row.id, column.id)) if column else None for row, column, _ in family]
    over_images = [test and test.p for test in images]
    return [
        Comparison(*member, *values)
        for member, *values in zip(
            family,
            adjusted["holm"],
            adjusted["bh"],
            verdicts,
            images,
            holm(over_images),
            benjamini_hochberg(over_images),
        )
    ]


def _verdict(test: PairedT, p: float | None, column: Column | None) -> str:
    if p is None:
        return test.note
    digits, higher = (column.digits, column.higher_is_better) if column else (2, True)
    if p >= ALPHA or rounds_to_zero(test.difference, digits):
        return "not separable"
    return "better" if (test.difference > 0) == higher else "worse"


def by_reference(
    board: Board,
    test: Callable[[Board, str, str], tuple[Comparison, ...]],
    correction: str,
    rows: Sequence[str],
) -> dict[str, tuple[Comparison, ...]]:
    """`comparisons` or `overall` for each of these rows as reference, if it has any."""
    tests = {row: test(board, row, correction) for row in rows}
    return {reference: against for reference, against in tests.items() if against}


def is_large(board: Board) -> bool:
    """Whether it has more than `MOST_TESTS` tests of an ordered pair of rows in a column.

    Those of all pairs of a hundred methods in ten columns would take tens of megabytes.
    """
    return sum(map(len, board.pairs)) > MOST_TESTS


def references(board: Board, large: bool) -> list[str]:
    """The rows that can be chosen as reference: all that compete; on a large board only one."""
    competing = [row.id for row in board.rows if not row.context]
    return [row for row in competing if row == board.reference] if large else competing

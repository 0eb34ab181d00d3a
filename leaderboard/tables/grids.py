"""What the tables hold, cell by cell, before any markup."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from benchmark.results import RunRecord
from leaderboard.board import Board, Cell, PerImage, Row
from leaderboard.build import Leaderboard
from leaderboard.comparisons import Comparison, comparisons, overall
from leaderboard.statistics import Summary

#: Marks a row that is not separable from the best of its column.
TIER_MARK = "†"

#: Correction → head of the column with its p-values.
P_HEADS = {"holm": "p (Holm)", "bh": "p (BH)"}


@dataclass(frozen=True, slots=True)
class Entry:
    """Text of one table cell; `place` 1 is the best of its column, 2 the second, 0 unmarked."""

    text: str
    place: int = 0
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """One table.

    Attributes:
        heading: what it shows, beside the title of its section; may be empty.
        head: column heads; the first `left` are words, left-aligned.
        over: (title, number of columns) of heads that span columns, from left to right over all
            columns; empty where there are none. `head` is complete without them.
        short: column heads below those of `over`.
    """

    heading: str
    head: tuple[str, ...]
    left: int
    rows: tuple[tuple[Entry, ...], ...]
    over: tuple[tuple[str, int], ...] = ()
    short: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """The tables of one board; None: of all boards."""

    title: str
    board: Board | None
    grids: tuple[Grid, ...]


def headline(leaderboard: Leaderboard) -> str:
    """Protocol and reference, in one line."""
    name = leaderboard.reference_title
    if name is None:
        reference = f"{leaderboard.reference} (no results, no tests)"
    else:
        reference = f"{name} ({leaderboard.reference})"
    return f"Protocol: {leaderboard.protocol} · reference: {reference}"


def sections(leaderboard: Leaderboard) -> list[Section]:
    """The tables in the order of print; those without rows are left out."""
    correction = leaderboard.correction
    found = []
    for board in leaderboard.boards:
        tests = comparisons(board, board.reference, correction)
        grids = [_scores(board), _tests(board, "Paired t-test", tests, correction)]
        if not board.analysis:
            whole = overall(board, board.reference, correction)
            grids.append(_tests(board, "Overall paired t-test", whole, correction))
        found.append(Section(board.title, board, tuple(grid for grid in grids if grid.rows)))
    combined = leaderboard.combined
    if combined is not None:
        tests = overall(combined, combined.reference, correction)
        grid = _tests(combined, "Overall paired t-test", tests, correction)
        if grid.rows:
            last = max(i for i, board in enumerate(leaderboard.boards) if not board.analysis)
            found.insert(last + 1, Section(combined.title, combined, (grid,)))
    if leaderboard.records:
        found.append(Section("Provenance", None, (_provenance(leaderboard.records),)))
    return found


def format_std(value: Summary) -> str:
    """``80.25 ± 0.12``; one value has no ±."""
    return _fixed(value.mean) + ("" if value.std is None else f" ± {_fixed(value.std)}")


def _fixed(value: float) -> str:
    """Two decimals. Halves go up, as on the page and by hand: average ranks end in 0.125."""
    return str(Decimal(value).quantize(Decimal("0.01"), ROUND_HALF_UP))


def _score_entry(cell: Cell | None) -> Entry:
    if cell is None:
        return Entry("")
    rank = "" if cell.rank is None else f" [{cell.rank}]"
    tier = TIER_MARK if cell.tier == 1 and cell.place > 1 else ""
    return Entry(format_std(cell.summary), cell.place if cell.place <= 2 else 0, rank + tier)


def _n(row: Row) -> str:
    counts = {cell.summary.n for cell in row.cells if cell is not None} - {0}
    low, high = min(counts, default=0), max(counts, default=0)
    if not high:
        return "—"
    return str(low) if low == high else f"{low}–{high}"


def _average(row: Row) -> str:
    if row.average_rank is None:
        return ""
    low_high = "" if row.rank_interval is None else " ({:.1f}–{:.1f})".format(*row.rank_interval)
    return format_std(row.average_rank) + low_high


def _scores(board: Board) -> Grid:
    words: dict[str, Callable[[Row], str]] = {"Method": lambda row: row.title}
    if not board.analysis:
        words["Family"] = lambda row: row.family
    if board.analysis in (None, "labels"):
        words["Pre-training"] = lambda row: row.pretraining
    if board.origin == "both":
        words["Source"] = lambda row: row.source or "measured"
    facts: dict[str, Callable[[Row], str]] = {**words, "n": _n}
    if not board.analysis:
        facts["Average rank"] = _average
    arrows = {True: "↑", False: "↓"}
    labels = [f"{column.label} {arrows[column.higher_is_better]}" for column in board.columns]
    spans: list[tuple[str, int]] = []
    for column in board.columns:
        title = column.dataset_title
        width = spans.pop()[1] if spans and spans[-1][0] == title else 0
        spans.append((title, width + 1))
    return Grid(
        heading="",
        head=(*facts, *(f"{c.dataset_title} {label}" for c, label in zip(board.columns, labels))),
        left=len(words),
        rows=tuple(
            (*(Entry(fact(row)) for fact in facts.values()), *map(_score_entry, row.cells))
            for row in board.rows
        ),
        over=(("", len(facts)), *spans),
        short=(*facts, *labels),
    )


def _p(value: float | None) -> str:
    if value is None:
        return "—"
    return "<0.0001" if value < 1e-4 else f"{value:.4f}"


def _difference(value: float | None) -> str:
    return "—" if value is None else f"{value:+.2f}"


def _interval(low: float | None, high: float | None) -> str:
    return "—" if low is None else f"{low:+.2f} … {high:+.2f}"


def _tests(board: Board, what: str, tests: Sequence[Comparison], correction: str) -> Grid:
    reference = board.row(board.reference)
    where = any(comparison.column is not None for comparison in tests)
    images = any(comparison.per_image is not None for comparison in tests)
    adjusted = P_HEADS.get(correction)

    def line(comparison: Comparison) -> tuple[Entry, ...]:
        test, column = comparison.test, comparison.column
        words = [comparison.row.title]
        words += [column.dataset_title, column.label] if column is not None else []
        words += [str(test.n), _difference(test.difference), _interval(test.ci_low, test.ci_high)]
        words += [_p(test.p)]
        words += [_p(comparison.p_used(correction))] if adjusted else []
        words += [comparison.verdict]
        words += _image_words(comparison.per_image) if images else []
        return tuple(map(Entry, words))

    head = ["Method", *(("Dataset", "Metric") if where else ())]
    left = len(head)
    head += ["n", "Mean difference", "95 % CI", "p", *([adjusted] if adjusted else []), "Verdict"]
    head += ["Images (patients)", "Per-image 95 % CI", "Per-image p"] if images else []
    heading = f"{what} against {reference.title}" if reference else what
    return Grid(heading, tuple(head), left, tuple(map(line, tests)))


def _image_words(test: PerImage | None) -> list[str]:
    if test is None:
        return ["—", "—", "—"]
    found = test.bootstrap
    patients = "" if found.n_clusters is None else f" ({found.n_clusters})"
    interval = found.note or _interval(found.ci_low, found.ci_high)
    return [f"{found.n_images}{patients}", interval, _p(test.p)]


def _provenance(records: Sequence[RunRecord]) -> Grid:
    """Where the measured rows come from, a line per method."""
    runs: dict[str, list[RunRecord]] = {}
    for record in records:
        runs.setdefault(record.method, []).append(record)
    head = ("Method", "Id", "Code", "PyTorch", "Device", "Encoder", "Data sets", "Runs", "Last run")
    rows = []
    for method, found in runs.items():
        words = (
            found[0].title,
            method,
            _listed(_commit(record) for record in found),
            _listed(record.versions.get("torch", "—") for record in found),
            _listed(record.device for record in found),
            _listed((record.encoder or {}).get("fingerprint", "—")[:12] for record in found),
            str(len({record.dataset for record in found})),
            str(len(found)),
            max(record.finished for record in found)[:10],
        )
        rows.append(tuple(map(Entry, words)))
    return Grid("", head, 6, tuple(rows))


def _commit(record: RunRecord) -> str:
    if record.git is None:
        return "—"
    return record.git["commit"][:9] + (" (modified)" if record.git["dirty"] else "")


def _listed(words: Iterable[str], most: int = 3) -> str:
    """Different words in order, the first `most` of them by name."""
    found = sorted(set(words))
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more

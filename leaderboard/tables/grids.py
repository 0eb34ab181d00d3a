"""The content of the tables, cell by cell, before any markup."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from benchmark.method_costs import MethodCosts
from benchmark.results import RunRecord
from leaderboard.board import Board, Cell, Row
from leaderboard.build import Leaderboard
from leaderboard.columns import METRICS, Column
from leaderboard.comparisons import Comparison, comparisons, overall
from leaderboard.statistics import Summary, p_number, rounds_to_zero
from leaderboard.tables.costs import MEASURED, conditions, cost_metrics, cost_values

#: Marks a row that is not separable from the best of its column.
TIER_MARK = "†"

#: Correction → header of the column with its p-values.
P_HEADERS = {"holm": "p (Holm)", "bh": "p (BH)"}


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
        header: column headers, complete without `spans`.
        n_text: how many columns, from the left, hold text and are left-aligned.
        spans: (title, number of columns) of headers that span columns, from left to right over all
            columns; may be empty.
        subheader: column headers below `spans`.
    """

    heading: str
    header: tuple[str, ...]
    n_text: int
    rows: tuple[tuple[Entry, ...], ...]
    spans: tuple[tuple[str, int], ...] = ()
    subheader: tuple[str, ...] = ()


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
    """The tables in the order of print, without empty ones."""
    correction = leaderboard.correction
    printed = []
    after_main = 0
    for board in leaderboard.boards:
        tests = comparisons(board, board.reference, correction)
        grids = [_scores(board), _tests(board, "Paired t-test", tests, correction)]
        if not board.analysis:
            grids.append(_overall(board, correction))
        printed.append(Section(board.title, board, tuple(grid for grid in grids if grid.rows)))
        after_main = after_main if board.analysis else len(printed)
    if (combined := leaderboard.combined) is not None:
        grid = _overall(combined, correction)
        if grid.rows:
            printed.insert(after_main, Section(combined.title, combined, (grid,)))
    if leaderboard.costs:
        printed.append(Section("Costs", None, (_costs(leaderboard),)))
    if leaderboard.records:
        printed.append(Section("Provenance", None, (_provenance(leaderboard.records),)))
    return printed


def mean_std(value: Summary, digits: int = 2) -> str:
    """``80.25 ± 0.12``; a single value has no ±."""
    spread = "" if value.std is None else f" ± {rounded(value.std, digits)}"
    return rounded(value.mean, digits) + spread


def rounded(value: float, digits: int) -> str:
    """Rounds half up, as on the page and by hand: average ranks end in 0.125."""
    return str(Decimal(value).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))


def _score_entry(cell: Cell | None, column: Column) -> Entry:
    if cell is None:
        return Entry("")
    rank = "" if cell.rank is None else f" [{cell.rank}]"
    tier = TIER_MARK if cell.tier == 1 and cell.place > 1 else ""
    text = mean_std(cell.summary, column.digits)
    return Entry(text, cell.place if cell.place <= 2 else 0, rank + tier)


def _n_seeds(row: Row) -> str:
    counts = {cell.summary.n for cell in row.cells if cell is not None} - {0}
    low, high = min(counts, default=0), max(counts, default=0)
    if not high:
        return "—"
    return str(low) if low == high else f"{low}–{high}"


def _average_rank(row: Row) -> str:
    if row.average_rank is None:
        return ""
    interval = "" if row.rank_interval is None else " ({:.1f}–{:.1f})".format(*row.rank_interval)
    return mean_std(row.average_rank) + interval


def _scores(board: Board) -> Grid:
    texts: dict[str, Callable[[Row], str]] = {"Method": lambda row: row.title}
    if not board.analysis:
        texts["Family"] = lambda row: row.family
    if board.analysis in (None, "labels"):
        texts["Pre-training"] = lambda row: row.pretraining
    if board.origin == "both":
        texts["Source"] = lambda row: row.source or "measured"
    leading: dict[str, Callable[[Row], str]] = {**texts, "n": _n_seeds}
    if not board.analysis:
        leading["Average rank"] = _average_rank
    labels = [_label(column) for column in board.columns]
    titles = [column.dataset_title for column in board.columns]
    complete = [
        f"{title} {label}" if column.score else label
        for title, label, column in zip(titles, labels, board.columns)
    ]
    spans: list[tuple[str, int]] = []
    for title in titles:
        width = spans.pop()[1] if spans and spans[-1][0] == title else 0
        spans.append((title, width + 1))
    return Grid(
        heading="",
        header=(*leading, *complete),
        n_text=len(texts),
        rows=tuple(
            (
                *(Entry(text(row)) for text in leading.values()),
                *map(_score_entry, row.cells, board.columns),
            )
            for row in board.rows
        ),
        spans=(("", len(leading)), *spans),
        subheader=(*leading, *labels),
    )


def _label(column: Column) -> str:
    """The metric with an arrow to what is better, or with its unit where it is no score."""
    if column.score:
        return f"{column.label} {'↑' if column.higher_is_better else '↓'}"
    return f"{column.label}, {column.unit}" if column.unit else column.label


def _p(value: float | None) -> str:
    return "—" if value is None else p_number(value)


def difference_text(value: float | None, digits: int = 2) -> str:
    """With its sign, but none for what is printed as zero; a dash for None."""
    if value is None:
        return "—"
    text = f"{value:+.{digits}f}"
    return text[1:] if rounds_to_zero(value, digits) else text


def _interval(low: float | None, high: float | None, digits: int = 2) -> str:
    return "—" if low is None else f"{low:+.{digits}f} … {high:+.{digits}f}"


def _overall(board: Board, correction: str) -> Grid:
    tests = overall(board, board.reference, correction)
    return _tests(board, "Overall paired t-test over datasets", tests, correction)


def _tests(board: Board, what: str, tests: Sequence[Comparison], correction: str) -> Grid:
    reference = board.row(board.reference)
    by_column = any(comparison.column is not None for comparison in tests)
    over_images = any(comparison.per_image is not None for comparison in tests)
    over_columns = any(comparison.over_columns is not None for comparison in tests)
    adjusted = P_HEADERS.get(correction)

    def line(comparison: Comparison) -> tuple[Entry, ...]:
        test, column = comparison.test, comparison.column
        texts = [comparison.row.title]
        texts += [column.dataset_title, column.label] if column is not None else []
        digits = column.digits if column is not None else 2
        interval = _interval(test.ci_low, test.ci_high, digits)
        texts += [str(test.n), difference_text(test.difference, digits), interval, _p(test.p)]
        texts += [_p(comparison.p_used(correction))] if adjusted else []
        texts += [comparison.verdict]
        texts += _per_image(comparison, correction) if over_images else []
        if (columns := comparison.over_columns) is not None:
            texts += [str(columns.n), _p(columns.p)]
        return tuple(map(Entry, texts))

    header = ["Method", *(("Dataset", "Metric") if by_column else ())]
    n_text = len(header)
    header += ["Datasets" if over_columns else "n", "Mean difference", "95 % CI", "p"]
    header += [*([adjusted] if adjusted else []), "Verdict"]
    if over_images:
        header += ["Images (patients)", "Per-image 95 % CI", f"Per-image {adjusted or 'p'}"]
    header += ["Columns", "p over columns"] if over_columns else []
    heading = f"{what} against {reference.title}" if reference else what
    return Grid(heading, tuple(header), n_text, tuple(map(line, tests)))


def _per_image(comparison: Comparison, correction: str) -> list[str]:
    if (test := comparison.per_image) is None:
        return ["—", "—", "—"]
    bootstrap = test.bootstrap
    patients = "" if bootstrap.n_clusters is None else f" ({bootstrap.n_clusters})"
    interval = bootstrap.note or _interval(bootstrap.ci_low, bootstrap.ci_high)
    return [f"{bootstrap.n_images}{patients}", interval, _p(comparison.image_p_used(correction))]


def _costs(leaderboard: Leaderboard) -> Grid:
    """One line per method whose costs are known."""
    metrics = cost_metrics(row.costs for row in leaderboard.costs)
    heads = [f"{METRICS[name].label}, {METRICS[name].unit}".rstrip(", ") for name in metrics]
    with_conditions = any(name in MEASURED for name in metrics)

    def line(method: str, title: str, costs: MethodCosts) -> tuple[Entry, ...]:
        values = cost_values(costs)
        texts = [title, method, *([conditions(costs) or "—"] if with_conditions else [])]
        texts += [
            rounded(values[name], METRICS[name].digits) if name in values else "—"
            for name in metrics
        ]
        return tuple(map(Entry, texts))

    words = ("Method", "Id", *(("Measured on",) if with_conditions else ()))
    rows = tuple(line(*row) for row in leaderboard.costs)
    return Grid("", (*words, *heads), len(words), rows)


def _provenance(records: Sequence[RunRecord]) -> Grid:
    """Where the measured rows come from, one line per method."""
    runs_of: dict[str, list[RunRecord]] = {}
    for record in records:
        runs_of.setdefault(record.method, []).append(record)
    words = ("Method", "Id", "Code", "PyTorch", "Device", "Encoder")
    rows = []
    for method, runs in runs_of.items():
        texts = (
            runs[0].title,
            method,
            _shortlist(_commit(run) for run in runs),
            _shortlist(run.versions.get("torch", "—") for run in runs),
            _shortlist(run.device for run in runs),
            _shortlist(r.encoder.fingerprint[:12] if r.encoder else "—" for r in runs),
            str(len({run.dataset for run in runs})),
            str(len(runs)),
            max(run.finished for run in runs)[:10],
        )
        rows.append(tuple(map(Entry, texts)))
    return Grid("", (*words, "Datasets", "Runs", "Last run"), len(words), tuple(rows))


def _commit(record: RunRecord) -> str:
    if record.git is None:
        return "—"
    return record.git.commit[:9] + (" (modified)" if record.git.dirty else "")


def _shortlist(texts: Iterable[str], most: int = 3) -> str:
    """The distinct texts in order, at most `most` of them by name."""
    distinct = sorted(set(texts))
    more = f" and {len(distinct) - most} more" if len(distinct) > most else ""
    return ", ".join(distinct[:most]) + more

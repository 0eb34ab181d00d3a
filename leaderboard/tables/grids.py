"""The content of the tables, cell by cell, before any markup."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from benchmark.results import RunRecord
from leaderboard.board import Board, Cell, Row
from leaderboard.build import Leaderboard
from leaderboard.columns import METRICS, Column
from leaderboard.comparable import WARNINGS, grouped
from leaderboard.comparisons import Comparison, comparisons, overall
from leaderboard.costs import CostRow, cost_values
from leaderboard.evaluations.details import Detail
from leaderboard.evaluations.overview import TITLE as RANKS_TITLE
from leaderboard.evaluations.scatter import TITLE as SCATTER_TITLE
from leaderboard.statistics import difference_text, interval_text, mean_std, p_number, rounded
from leaderboard.tables.costs import bench_conditions, cost_metrics, pretrained_on

#: Marks a row that is not separable from the best of its column.
TIER_MARK = "†"

#: Header of the column of average ranks.
AVERAGE_RANK = "Average rank"

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
        notes: what its numbers are, unless the notes of the board explain it.
    """

    heading: str
    header: tuple[str, ...]
    n_text: int
    rows: tuple[tuple[Entry, ...], ...]
    spans: tuple[tuple[str, int], ...] = ()
    subheader: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """The tables of one board; None: of all boards.

    Attributes:
        id: names its tables; empty for what only the Markdown has.
    """

    title: str
    board: Board | None
    grids: tuple[Grid, ...]
    id: str = ""


def headline(leaderboard: Leaderboard) -> str:
    """Protocol, reference, and the day of the newest record, in one line."""
    name = leaderboard.reference_title
    if name is None:
        reference = f"{leaderboard.reference} (no results, no tests)"
    else:
        reference = f"{name} ({leaderboard.reference})"
    newest = f" · newest record: {leaderboard.newest}" if leaderboard.newest else ""
    return f"Protocol: {leaderboard.protocol} · reference: {reference}{newest}"


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
        grids += map(detail_grid, board.details)
        shown = tuple(grid for grid in grids if grid.rows)
        printed.append(Section(board.title, board, shown, board.id))
        after_main = after_main if board.analysis else len(printed)
    if (combined := leaderboard.combined) is not None:
        grid = _overall(combined, correction)
        if grid.rows:
            section = Section(combined.title, combined, (grid,), combined.id)
            printed.insert(after_main, section)
            after_main += 1
    if grids := overview_grids(leaderboard):
        printed.insert(after_main, Section("Overview", None, grids, "overview"))
    if leaderboard.costs:
        printed.append(Section("Costs", None, (_costs(leaderboard),), "costs"))
    if leaderboard.records:
        printed.append(Section("Provenance", None, (_provenance(leaderboard.records),)))
    return printed


def _score_entry(cell: Cell | None, column: Column) -> Entry:
    if cell is None:
        return Entry("" if column.score else "—")
    rank = "" if cell.rank is None else f" [{cell.rank}]"
    tier = TIER_MARK if cell.tier == 1 and cell.place > 1 else ""
    text = mean_std(cell.summary, column.digits)
    marks = cell.conditions.marks if cell.conditions else ""
    return Entry(text, cell.place if cell.place <= 2 else 0, rank + tier + marks)


def _n_seeds(row: Row) -> str:
    counts = {cell.summary.n for cell in row.cells if cell is not None} - {0}
    low, high = min(counts, default=0), max(counts, default=0)
    if not high:
        return "—"
    return str(low) if low == high else f"{low}–{high}"


def _average_rank(row: Row) -> str:
    if row.average_rank is None:
        return ""
    if row.rank_interval is None:
        return mean_std(row.average_rank)
    low, high = (rounded(end, 1) for end in row.rank_interval)
    return f"{mean_std(row.average_rank)} ({low}–{high})"


def rank_marks(row: Row) -> str:
    """The marks of the scores that the average rank of a row counts; empty without a rank."""
    return _marks(row.cells) if row.average_rank else ""


def _marks(cells: Iterable[Cell | None]) -> str:
    """Each mark of these scores once."""
    found = {m for cell in cells if cell and cell.conditions for m in cell.conditions.marks}
    return "".join(mark for mark in WARNINGS if mark in found)


def rank_title(board: Board, title: str = AVERAGE_RANK) -> str:
    """A header of average ranks, with their number where rows without one are on the board."""
    complete, competing = board.ranked
    return title if complete == competing else f"{title} ({complete} of {competing} rows)"


def _scores(board: Board) -> Grid:
    texts: dict[str, Callable[[Row], str]] = {"Method": lambda row: row.title}
    if board.ranks_methods:
        texts["Family"] = lambda row: row.family
    if board.ranks_methods or board.analysis == "labels":
        texts["Pre-training"] = lambda row: row.pretraining
    if board.origin == "both":
        texts["Source"] = lambda row: row.source or "measured"
    leading: dict[str, Callable[[Row], str]] = {**texts, "n": _n_seeds}
    ranked = rank_title(board)
    if board.ranks_methods:
        leading[ranked] = _average_rank
    labels = [_label(column) for column in board.columns]
    titles = [column.dataset_title for column in board.columns]
    complete = [
        f"{title} {label}" if column.score or board.is_evaluation else label
        for title, label, column in zip(titles, labels, board.columns)
    ]
    return Grid(
        heading="",
        header=(*leading, *complete),
        n_text=len(texts),
        rows=tuple(
            (
                *(
                    Entry(text(row), suffix=rank_marks(row) if head == ranked else "")
                    for head, text in leading.items()
                ),
                *map(_score_entry, row.cells, board.columns),
            )
            for row in board.rows
        ),
        spans=(("", len(leading)), *_spans(titles)),
        subheader=(*leading, *labels),
    )


def _spans(titles: Iterable[str]) -> list[tuple[str, int]]:
    """Each title with the number of its neighbours of the same title."""
    return [(title, len(list(equal))) for title, equal in itertools.groupby(titles)]


def _label(column: Column) -> str:
    """The metric with an arrow to what is better, or with its unit where it is not a score."""
    if column.score:
        return f"{column.label} {'↑' if column.higher_is_better else '↓'}"
    return f"{column.label}, {column.unit}" if column.unit else column.label


def _p(value: float | None) -> str:
    return "—" if value is None else p_number(value)


def _interval(low: float | None, high: float | None, digits: int = 2) -> str:
    return "—" if low is None or high is None else interval_text(low, high, digits)


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
        verdict = len(texts)
        texts += [comparison.verdict]
        texts += _per_image(comparison, correction) if over_images else []
        if (columns := comparison.over_columns) is not None:
            texts += [str(columns.n), _p(columns.p)]
        entries = [*map(Entry, texts)]
        entries[verdict] = Entry(comparison.verdict, suffix=_warnings(board, comparison))
        return tuple(entries)

    header = ["Method", *(("Dataset", "Metric") if by_column else ())]
    n_text = len(header)
    header += ["Datasets" if over_columns else "n", "Mean difference", "95 % CI", "p"]
    header += [*([adjusted] if adjusted else []), "Verdict"]
    if over_images:
        header += ["Images (patients)", "Per-image 95 % CI", f"Per-image {adjusted or 'p'}"]
    header += ["Columns", "p over columns"] if over_columns else []
    heading = f"{what} against {reference.title}" if reference else what
    return Grid(heading, tuple(header), n_text, tuple(map(line, tests)))


def _warnings(board: Board, comparison: Comparison) -> str:
    """The marks of the scores of both rows that a test is about."""
    rows = [row for row in (comparison.row, board.row(board.reference)) if row is not None]
    return _marks(
        cell
        for row in rows
        for column, cell in zip(board.columns, row.cells)
        if column == comparison.column or (comparison.column is None and column.unit == "%")
    )


def _per_image(comparison: Comparison, correction: str) -> list[str]:
    if (test := comparison.per_image) is None:
        return ["—", "—", "—"]
    bootstrap = test.bootstrap
    patients = "" if bootstrap.n_clusters is None else f" ({bootstrap.n_clusters})"
    interval = bootstrap.note or _interval(bootstrap.ci_low, bootstrap.ci_high)
    return [f"{bootstrap.n_images}{patients}", interval, _p(comparison.image_p_used(correction))]


def detail_grid(detail: Detail) -> Grid:
    """A further table of a board."""
    groups, titles = [group for group, _ in detail.columns], [title for _, title in detail.columns]
    complete = [f"{group}, {title}" if group else title for group, title in detail.columns]
    rows = (
        (*map(Entry, row.texts), *(Entry(cell.text, cell.place) for cell in row.cells))
        for row in detail.rows
    )
    n_text = len(detail.words)
    spanned = any(groups)
    return Grid(
        detail.title,
        (*detail.words, *complete),
        n_text,
        tuple(rows),
        spans=(("", n_text), *_spans(groups)) if spanned else (),
        subheader=(*detail.words, *titles) if spanned else (),
        notes=detail.notes,
    )


def overview_grids(leaderboard: Leaderboard) -> tuple[Grid, ...]:
    """The ranks of all tables, and frozen against fine-tuned scores; empty without them."""
    grids = []
    if overview := leaderboard.overview:
        ranked = ((b, r) for b in leaderboard.boards for r in b.rows if not r.context)
        marks = {(board.id, row.method): rank_marks(row) for board, row in ranked}
        rows = [
            (
                Entry(row.title),
                *(
                    Entry("—")
                    if rank is None
                    else Entry(
                        mean_std(rank),
                        _shown(place, table.rows),
                        marks[table.board, row.method],
                    )
                    for rank, place, table in zip(row.ranks, row.places, overview.tables)
                ),
            )
            for row in overview.rows
        ]
        boards = {board.id: board for board in leaderboard.boards}
        titles = (rank_title(boards[table.board], table.title) for table in overview.tables)
        header = ("Method", *titles)
        grids.append(Grid(RANKS_TITLE, header, 1, tuple(rows), notes=overview.notes))
    if scatter := leaderboard.scatter:
        rows = [
            tuple(map(Entry, (p.title, mean_std(p.frozen), mean_std(p.fine_tuned))))
            for p in reversed(scatter.points)
        ]
        kinds = (f"{scatter.metric}, {kind}" for kind in ("frozen, linear", "fine-tuned"))
        header = ("Method", *kinds)
        grids.append(Grid(SCATTER_TITLE, header, 1, tuple(rows), notes=scatter.notes))
    return tuple(grids)


def _shown(place: int, rows: int) -> int:
    """The place to mark: the first two, and none if there is only one row."""
    return place if place < 3 and rows > 1 else 0


def _costs(leaderboard: Leaderboard) -> Grid:
    """One line per method whose costs are known."""
    metrics = cost_metrics(leaderboard.costs)
    heads = [f"{METRICS[name].label}, {METRICS[name].unit}".rstrip(", ") for name in metrics]
    texts: dict[str, Callable[[CostRow], str]] = {
        "Method": lambda row: row.title,
        "Id": lambda row: row.method,
        "Measured on": bench_conditions,
        "Pre-trained on": pretrained_on,
    }
    words = {name: text for name, text in texts.items() if any(map(text, leaderboard.costs))}

    def line(row: CostRow) -> tuple[Entry, ...]:
        values = cost_values(row)
        numbers = (rounded(values[m], METRICS[m].digits) if m in values else "—" for m in metrics)
        return tuple(map(Entry, (*(text(row) or "—" for text in words.values()), *numbers)))

    return Grid("", (*words, *heads), len(words), tuple(map(line, leaderboard.costs)))


def _provenance(records: Sequence[RunRecord]) -> Grid:
    """Where the measured rows come from, one line per method."""
    words = ("Method", "Id", "Code", "PyTorch", "Device", "Encoder")
    rows = []
    for method, runs in grouped(records, lambda record: record.method).items():
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

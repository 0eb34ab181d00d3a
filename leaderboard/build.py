"""The complete leaderboard: every board, and what applies to all of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from benchmark.errors import InputError
from benchmark.method_cards import MethodCard
from benchmark.method_costs import MethodCosts
from benchmark.results import RunRecord
from benchmark.text import visible
from leaderboard.analyses import is_analysis, paper_of
from leaderboard.board import Board, Row, make_board
from leaderboard.columns import Column
from leaderboard.costs import CostRow, PretrainingTime, pretraining_times, with_cost_columns
from leaderboard.evaluations.analysis_boards import analysis_boards
from leaderboard.evaluations.boards import evaluation_boards
from leaderboard.evaluations.overview import Overview, make_overview
from leaderboard.evaluations.scatter import Scatter, make_scatter
from leaderboard.measured import COMBINED, combined_board, measured_boards, read_measured
from leaderboard.published import PublishedTable

#: Protocol of a leaderboard of published tables, which have several protocols.
PUBLISHED = "as published"


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """Everything the tables and the page show.

    Attributes:
        protocol: that of all its records; `PUBLISHED` for the papers' tables.
        reference: pre-declared method that all others are tested against.
        correction: that of the verdicts, a key of `leaderboard.comparisons.CORRECTIONS`.
        boards: one per task, then the other evaluations, then the analyses.
        combined: segmentation and detection as one board, for the overall test; None without both.
        records: the runs behind the boards, by method, dataset and seed.
        problems: skipped files, one line each.
        costs: of its methods, those of the main boards first.
        cards: method → its card, with the links to paper and code.
        newest: day of the newest record in UTC, ``2026-11-29``; None without records.
        overview: the ranks on all tables of methods; None without other evaluations.
        scatter: frozen against fine-tuned scores; None where no method has both.
    """

    title: str
    protocol: str
    reference: str
    correction: str
    boards: tuple[Board, ...]
    combined: Board | None
    records: tuple[RunRecord, ...] = ()
    problems: tuple[str, ...] = ()
    costs: tuple[CostRow, ...] = ()
    cards: Mapping[str, MethodCard] = field(default_factory=dict)
    newest: str | None = None
    overview: Overview | None = None
    scatter: Scatter | None = None

    @property
    def reference_title(self) -> str | None:
        """The reference as printed; None if it has no row."""
        rows = (row for board in self.boards for row in board.rows if board.ranks_methods)
        return next((row.title for row in rows if row.method == self.reference), None)

    def with_problems(self, problems: Iterable[str]) -> Leaderboard:
        """The leaderboard with more skipped files."""
        return replace(self, problems=(*self.problems, *map(visible, problems)))


def build_leaderboard(
    records: Sequence[RunRecord],
    reference: str,
    protocol: str,
    *,
    title: str = "Leaderboard",
    problems: Iterable[str] = (),
    cards: Mapping[str, MethodCard] | None = None,
    published: Sequence[PublishedTable] = (),
    correction: str = "holm",
    costs: Mapping[str, MethodCosts] | None = None,
) -> Leaderboard:
    """Build the leaderboard of one protocol; the order of `records` does not matter.

    Args:
        records: records of `protocol` only.
        reference: id of the pre-declared reference method; without records of it, no tests.
        problems: files that the reader skipped, to be printed.
        cards: method → its card, which tells where it was published.
        published: published tables whose rows are shown beside the measured ones.
        correction: a key of `leaderboard.comparisons.CORRECTIONS`.
        costs: method → its costs at the papers' size, shown for the methods that have records,
            unless the protocol is of another scale.

    Raises:
        InputError: no records, records that must not mix, or no published table of this protocol
            among `published`.
    """
    of_protocol = [table for table in published if table.protocol == protocol]
    if published and not of_protocol:
        known = ", ".join(sorted({table.protocol for table in published}))
        raise InputError(f"protocol {protocol} has no published tables (known: {known})")
    cards = cards or {}
    papers = {method: card.paper for method, card in cards.items()}
    measured = read_measured(records, protocol, papers)
    # Counted for networks of the papers' size.
    counted = costs if costs and protocol == paper_of(protocol) else {}
    cost_rows = _cost_rows(measured.rows.values(), counted, pretraining_times(records))
    boards = [*measured_boards(measured, reference, of_protocol)]
    boards += analysis_boards(measured, of_protocol)
    main = [with_cost_columns(board, cost_rows) for board in boards if not board.analysis]
    main += evaluation_boards(measured, reference)
    return Leaderboard(
        title=visible(title),
        protocol=protocol,
        reference=reference,
        correction=correction,
        boards=(*main, *(board for board in boards if board.analysis)),
        combined=combined_board(measured, reference),
        records=tuple(sorted(records, key=lambda r: (r.method, r.dataset, r.seed))),
        problems=tuple(map(visible, problems)),
        costs=cost_rows,
        cards=cards,
        newest=max(map(_day, records)),
        overview=make_overview(main),
        scatter=make_scatter(measured),
    )


def _cost_rows(
    rows: Iterable[Row],
    costs: Mapping[str, MethodCosts],
    times: Mapping[str, PretrainingTime],
) -> tuple[CostRow, ...]:
    """The methods whose costs are known, those of the main boards first."""
    found = (
        CostRow(row.method, row.title, costs.get(row.method, MethodCosts()), times.get(row.method))
        for row in sorted(rows, key=lambda row: is_analysis(row.method))
    )
    return tuple(row for row in found if row.known)


def _day(record: RunRecord) -> str:
    """When a run ended, in UTC; a time without a zone is taken as it is."""
    # Python 3.10 does not know the suffix "Z".
    time = datetime.fromisoformat(re.sub("Z$", "+00:00", record.finished))
    return (time.astimezone(timezone.utc) if time.tzinfo else time).date().isoformat()


def published_leaderboard(
    tables: Sequence[PublishedTable],
    *,
    reference: str | None = None,
    title: str = "Published results",
    correction: str = "holm",
    costs: Mapping[str, MethodCosts] | None = None,
    cards: Mapping[str, MethodCard] | None = None,
) -> Leaderboard:
    """The papers' tables, ranked and, over their means, tested.

    Args:
        reference: method of the overall test (default: that of each table).
        costs: method → its costs as counted here, for the methods of the tables.
        cards: method → its card, with the links to paper and code.

    Raises:
        InputError: no table, or none that holds the reference.
    """
    if not tables:
        raise InputError("a board of published results needs at least one table")
    if reference is not None:
        tables = [replace(table, reference=reference) for table in tables]
        if not any(row.method == reference for table in tables for row in table.rows):
            raise InputError(f"{reference}: no published table has this method")
    return Leaderboard(
        title=visible(title),
        protocol=PUBLISHED,
        reference=tables[0].reference,
        correction=correction,
        boards=tuple(table.board() for table in tables),
        combined=_combined(tables),
        costs=_cost_rows(_first_rows(tables), costs or {}, {}),
        cards=cards or {},
    )


def _first_rows(tables: Sequence[PublishedTable]) -> list[Row]:
    """One row for each method, as the first table that has it calls it."""
    rows: dict[str, Row] = {}
    for table in tables:
        for row in table.rows:
            rows.setdefault(row.method, row)
    return list(rows.values())


def _combined(tables: Sequence[PublishedTable]) -> Board | None:
    """The main segmentation and detection tables of one paper, joined by method."""
    main = [table for table in tables if table.analysis is None]
    for detection in (table for table in main if table.task == "detection"):
        protocol = detection.protocol
        joined = [t for t in main if t.protocol == protocol and t.task == "segmentation"]
        if joined:
            return _joined([*joined, detection], protocol, detection.reference)
    return None


def _joined(tables: Sequence[PublishedTable], protocol: str, reference: str) -> Board:
    """One board of several tables; rows of the same title are one row."""
    rows: dict[str, Row] = {}
    scores: dict[str, dict[Column, object]] = {}
    for table in tables:
        for row in table.rows:
            name = f"published:{protocol}:{row.title}"
            rows.setdefault(name, replace(row, id=name))
            scores.setdefault(name, {}).update(table.scores[row.id])
    reference_row = next((row.id for row in rows.values() if row.method == reference), "")
    return make_board(
        list(rows.values()), scores, protocol=protocol, reference=reference_row, **COMBINED
    )

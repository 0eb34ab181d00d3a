"""Pairs of a published and a measured number, one per row and column of the papers' tables."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmark.method_costs import MethodCosts
from leaderboard.analyses import ANALYSES, Analysis, find_analysis
from leaderboard.columns import Column, column_order
from leaderboard.measured import Measured
from leaderboard.published import LOWER_IS_BETTER, PublishedTable, is_comparable
from leaderboard.statistics import Summary

#: Protocols whose numbers are published, in the order of print → the paper.
PAPERS = {
    "journal": "Journal version (arXiv 2602.11536)",
    "aaai": "Conference version (AAAI 2026, arXiv 2508.10794)",
}

#: (protocol, method, dataset) → configs of the matrices that run this cell.
ConfigsOf = Callable[[tuple[str, str, str]], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Pair:
    """One row and column.

    Attributes:
        published: as printed; None where no number is printed.
        measured: over the seeds that have run, for a cost as counted here; None without.
        command: place in the table's commands of the one that runs it; None where it has run, or
            where no matrix has it.
        other: id of the definition of the measured number where the published one is not
            comparable with it, else empty.
    """

    column: Column
    published: Summary | None
    measured: Summary | None
    command: int | None = None
    other: str = ""

    @property
    def counted(self) -> bool:
        """Whether there is a number of ours that comes from the configs, not from runs."""
        return self.measured is not None and not self.column.score

    @property
    def difference(self) -> float | None:
        """Measured minus published, in the unit of the column; None where they do not compare."""
        if self.published is None or self.measured is None or self.other:
            return None
        return self.measured.mean - self.published.mean

    @property
    def assumed(self) -> bool:
        """Whether one of the standard deviations is not known, and the other stands for it."""
        return len(self._stds()) == 1

    @property
    def units(self) -> float | None:
        """The difference divided by √(s_p² + s_m²), the standard deviations of both.

        That is the standard deviation of the difference of two single runs, one there and one
        here. None without any standard deviation, or where they are 0.
        """
        stds = self._stds()
        if self.difference is None or not stds:
            return None
        spread = math.hypot(stds[0], stds[-1])
        return self.difference / spread if spread else None

    def _stds(self) -> list[float]:
        """The known ones of the two."""
        both = (self.published, self.measured)
        return [one.std for one in both if one is not None and one.std is not None]


@dataclass(frozen=True, slots=True)
class PairedRow:
    """A row of a table: the method it is a run of, and its cells that have a number or a run."""

    method: str
    title: str
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class PairedTable:
    """A table or figure of a paper.

    Attributes:
        id, title, protocol: what it is about; `protocol` is a key of `PAPERS`.
        source: for example ``"table IV"``.
        notes: what a reader has to know.
        columns, rows: in the order of print.
        commands: what runs the cells that have not run yet.
    """

    id: str
    title: str
    protocol: str
    source: str
    notes: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[PairedRow, ...]
    commands: tuple[str, ...]

    @property
    def pairs(self) -> list[Pair]:
        """All cells, row by row."""
        return [pair for row in self.rows for pair in row.pairs]


def pair_tables(
    published: Sequence[PublishedTable],
    measured: Mapping[str, Measured],
    costs: Mapping[str, MethodCosts],
    configs_of: ConfigsOf,
) -> list[PairedTable]:
    """Every table and figure of both papers, each with the measured numbers of its own protocol.

    Args:
        measured: protocol → what its records say; protocols without records are missing.
        costs: method → its costs, shown beside published ones.
        configs_of: names the matrices that run a cell.
    """
    printed = _main_numbers(published)
    tables = []
    for protocol in PAPERS:
        of_paper = [table for table in published if table.protocol == protocol]
        analyses = {a.id: a for a in ANALYSES if a.protocol == protocol}
        ids = {table.analysis for table in of_paper}
        drawn = [_as_table(a) for a in analyses.values() if a.id not in ids]
        order = [None, *analyses]
        known = [table for table in (*of_paper, *drawn) if table.analysis in order]
        known.sort(key=lambda table: order.index(table.analysis))
        others = [table for table in of_paper if table.analysis not in order]
        here = measured.get(protocol)
        tables += [_paired(t, printed, here, costs, configs_of) for t in (*known, *others)]
    return tables


def _main_numbers(
    published: Iterable[PublishedTable],
) -> dict[tuple[str, str, str], Summary]:
    """(protocol, method, column id) → number of the main tables, which the analyses refer to."""
    return {
        (table.protocol, row.method, column.id): score.summary
        for table in published
        if table.analysis is None
        for row in table.rows
        for column, score in table.scores[row.id].items()
    }


def _as_table(analysis: Analysis) -> PublishedTable:
    """A figure whose numbers are not printed, as a table without numbers."""
    return PublishedTable(
        id=f"{analysis.protocol}-{analysis.source.replace('figure ', 'fig')}",
        title=analysis.title,
        task="segmentation",
        protocol=analysis.protocol,
        analysis=analysis.id,
        citation=f"{PAPERS[analysis.protocol]}, {analysis.source}",
        reference=analysis.reference,
        note="The points of this figure are not printed, but for those that are in a main table.",
        rows=(),
        scores={},
    )


def _paired(
    table: PublishedTable,
    printed: Mapping[tuple[str, str, str], Summary],
    measured: Measured | None,
    costs: Mapping[str, MethodCosts],
    configs_of: ConfigsOf,
) -> PairedTable:
    analysis = find_analysis(table.protocol, table.analysis)
    columns = _columns(table, analysis)
    cells = {row.method: table.scores[row.id] for row in table.rows}
    titles = {row.method: row.title for row in table.rows}
    if analysis is not None:
        titles = {member.method: member.title for member in analysis.members} | titles

    def published(method: str, column: Column) -> Summary | None:
        own = {known.id: score.summary for known, score in cells.get(method, {}).items()}
        return own.get(column.id, printed.get((table.protocol, method, column.id)))

    def pair(method: str, column: Column) -> Pair:
        printed_here = published(method, column)
        if not column.score:
            return Pair(column, printed_here, _cost(costs.get(method), column, table.protocol))
        for known, score in (measured.scores.get(method, {}) if measured else {}).items():
            if known.id == column.id:
                other = "" if is_comparable(table.protocol, known) else known.definition
                return Pair(column, printed_here, score.summary, other=other)
        return Pair(column, printed_here, None)

    rows = [
        PairedRow(method, title, tuple(pair(method, column) for column in columns))
        for method, title in titles.items()
    ]
    rows, commands = _with_commands(rows, table.protocol, configs_of)
    return PairedTable(
        id=table.id,
        title=table.title.removesuffix(" (AAAI)"),
        protocol=table.protocol,
        source=table.citation.rpartition(", ")[2],
        notes=tuple(_notes(table, rows, measured)),
        columns=tuple(columns),
        rows=tuple(rows),
        commands=tuple(commands),
    )


def _notes(
    table: PublishedTable, rows: Sequence[PairedRow], measured: Measured | None
) -> Iterator[str]:
    if table.note:
        yield table.note
    pairs = [pair for row in rows for pair in row.pairs]
    if any(pair.column.metric in _COUNTED for pair in pairs):
        yield _COST_NOTE
    if any(p.column.score and p.measured is None and p.command is None for p in pairs):
        yield "No matrix of configs/leaderboard runs the cells without a number of ours."
    # `check_comparable` has made sure that a column has one definition.
    for title, definition in dict.fromkeys((p.column.title, p.other) for p in pairs if p.other):
        yield f"{title}, without a difference: other definition: {definition}."
    shown = {(row.method, pair.column.dataset) for row in rows for pair in row.pairs}
    mixed = [f"{m} on {d}" for m, d in (measured.mixed if measured else ()) if (m, d) in shown]
    if mixed:
        yield f"Seeds from more than one configuration: {', '.join(mixed)}."


def _columns(table: PublishedTable, analysis: Analysis | None) -> list[Column]:
    """Those with a published number, and the same metrics on all datasets of the analysis."""
    columns = {column for cells in table.scores.values() for column in cells}
    if analysis is not None:
        metrics = {column.metric for column in columns if column.score} or {"dsc"}
        columns |= {
            Column(dataset, metric, "as published", metric not in LOWER_IS_BETTER)
            for dataset in analysis.datasets
            for metric in metrics
        }
    return sorted(columns, key=column_order)


#: Published cost → the cost that is counted here, and its unit.
_COUNTED = {"params_m": ("total", 1e6), "gflops": ("papers_flops", 1e9)}
_COST_NOTE = (
    "Parameters and GFLOPs are not measured but counted, here by the rules of the papers: without "
    "the products of attention, and with 75 % of the patches masked, whatever share a method is "
    "trained with. docs/costs.md explains every difference."
)


def _cost(costs: MethodCosts | None, column: Column, protocol: str) -> Summary | None:
    name, unit = _COUNTED.get(column.metric, ("", 1))
    value = getattr(costs, name, None)
    if value is None:
        return None
    # The conference paper counts a multiplication with its addition as one operation.
    halved = column.metric == "gflops" and protocol == "aaai"
    return Summary(value / unit / (2 if halved else 1), None, 0)


def _with_commands(
    rows: Sequence[PairedRow], protocol: str, configs_of: ConfigsOf
) -> tuple[list[PairedRow], list[str]]:
    """The rows with the commands of their missing cells; cells of unknown numbers are omitted."""
    able = {}
    for row in rows:
        for pair in row.pairs:
            cell = (row.method, pair.column.dataset)
            if pair.column.score and pair.measured is None:
                able[cell] = configs_of((protocol, *cell))
    chosen = _few_configs({cell: configs for cell, configs in able.items() if configs})
    place = {config: number for number, config in enumerate(dict.fromkeys(chosen.values()))}
    numbered = []
    for row in rows:
        pairs = []
        for pair in row.pairs:
            config = chosen.get((row.method, pair.column.dataset))
            missing = pair.measured is None and pair.column.score and config is not None
            if missing:
                pairs.append(replace(pair, command=place[config]))
            elif pair.published is not None or pair.measured is not None:
                pairs.append(pair)
        if pairs:
            numbered.append(replace(row, pairs=tuple(pairs)))
    cells_of = {config: [cell for cell in chosen if chosen[cell] == config] for config in place}
    return numbered, [_command(config, cells) for config, cells in cells_of.items()]


def _few_configs(
    able: Mapping[tuple[str, str], Sequence[str]],
) -> dict[tuple[str, str], str]:
    """For every cell one of the configs that run it, chosen greedily by most cells."""
    chosen: dict[tuple[str, str], str] = {}
    while left := [cell for cell in able if cell not in chosen]:
        counts = Counter(config for cell in left for config in able[cell])
        best = counts.most_common(1)[0][0]
        chosen |= {cell: best for cell in left if best in able[cell]}
    return {cell: chosen[cell] for cell in able}


def _command(config: str, cells: Sequence[tuple[str, str]]) -> str:
    methods = " ".join(dict.fromkeys(method for method, _ in cells))
    datasets = " ".join(dict.fromkeys(dataset for _, dataset in cells))
    return f"tools/run_benchmark.sh {config} --methods {methods} --datasets {datasets}"

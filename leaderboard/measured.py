"""From result records to boards: one per task, label efficiency, and the papers' analyses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmark.errors import InputError
from benchmark.results import TASKS, RunRecord
from benchmark.text import visible
from leaderboard.analyses import ANALYSES, Analysis, Member, is_analysis
from leaderboard.board import Board, Column, Row, Score, column_order, label_share, make_board
from leaderboard.comparable import check_comparable, mixed_cells
from leaderboard.published import PublishedTable, published_beside
from leaderboard.statistics import summary

#: Task → heading of its board.
TASK_TITLES = {"segmentation": "Segmentation", "detection": "Detection", "denoising": "Denoising"}

#: The board of the overall test over both of its tasks.
COMBINED = {
    "name": "combined",
    "title": "Segmentation and detection together",
    "task": "segmentation",
}


@dataclass(frozen=True)
class Measured:
    """Everything the records of one protocol say.

    Attributes:
        protocol: of all of them.
        rows: one per method, by id, without cells.
        scores: method → column → values by seed.
        task_of: data set → task.
        mixed: (method, data set) whose seeds differ in more than the seed.
    """

    protocol: str
    rows: dict[str, Row]
    scores: dict[str, dict[Column, Score]]
    task_of: dict[str, str]
    mixed: list[tuple[str, str]]

    def select(self, methods: Sequence[str], keep: Callable[[Column], bool]) -> dict[str, dict]:
        """Method → its scores in the columns to keep; without methods that have none."""
        chosen = {
            method: {column: score for column, score in self.scores[method].items() if keep(column)}
            for method in methods
        }
        return {method: cells for method, cells in chosen.items() if cells}


def read_measured(
    records: Sequence[RunRecord], protocol: str, papers: Mapping[str, str] | None = None
) -> Measured:
    """Check records of one protocol, in any order, and sort them into scores.

    Args:
        papers: method → where it was published.

    Raises:
        InputError: no records, or records that must not mix (`check_comparable`).
    """
    if not records:
        raise InputError("a board needs at least one record")
    records = sorted(records, key=lambda record: (record.method, record.dataset, record.seed))
    check_comparable(records, protocol)
    values: dict[str, dict[Column, dict[int, float]]] = {}
    rows = {}
    for r in records:
        paper = (papers or {}).get(r.method)
        printed = map(visible, (r.title, r.family, r.pretraining))
        rows[r.method] = Row(r.method, r.method, *printed, paper)
        for metric, entry in r.metrics.items():
            # The other metrics are kept for those who read the records.
            if entry.get("headline", True):
                definition = visible(entry["definition"])
                column = Column(r.dataset, metric, definition, entry["higher_is_better"])
                runs = values.setdefault(r.method, {}).setdefault(column, {})
                runs[r.seed] = entry["value"]
    scores = {
        method: {
            column: Score(summary(list(runs.values())), runs)
            for column, runs in values.get(method, {}).items()
        }
        for method in rows
    }
    task_of = {record.dataset: record.task for record in records}
    return Measured(protocol, rows, scores, task_of, mixed_cells(records))


def measured_boards(
    measured: Measured, reference: str, published: Sequence[PublishedTable] = ()
) -> list[Board]:
    """The boards of one protocol: one per task, then label efficiency, then the analyses.

    Args:
        reference: id of the pre-declared reference method; an analysis is compared with the setting
            that its rows vary.
        published: tables whose rows are shown beside the measured ones, for context.
    """
    return [
        *_main_boards(measured, reference, published),
        *_label_boards(measured, reference, published),
        *_analysis_boards(measured, published),
    ]


def _is_whole(column: Column) -> bool:
    """Whether all labels of the data set were used."""
    return label_share(column.dataset)[0] == column.dataset


def combined_board(measured: Measured, reference: str) -> Board | None:
    """Segmentation and detection as one board, for the papers' overall test; None without both."""
    methods = [method for method in measured.rows if not is_analysis(method)]
    tasks = ("segmentation", "detection")
    chosen = measured.select(
        methods, lambda c: _is_whole(c) and measured.task_of[c.dataset] in tasks
    )
    found = {measured.task_of[column.dataset] for cells in chosen.values() for column in cells}
    if len(found) < 2:
        return None
    return _board(measured, chosen, [], **COMBINED, reference=reference)


def _board(
    measured: Measured,
    chosen: Mapping[str, Mapping[Column, Score]],
    published: Sequence[PublishedTable],
    titles: Mapping[str, str] | None = None,
    **about: object,
) -> Board:
    """A board of the chosen rows, with the published rows of the same columns, and its warnings."""
    columns = sorted({column for cells in chosen.values() for column in cells}, key=column_order)
    context, numbers = published_beside(columns, published)
    own = [
        replace(measured.rows[m], title=(titles or {}).get(m, measured.rows[m].title))
        for m in chosen
    ]
    datasets = {column.dataset for column in columns}
    warnings = [
        f"{method} on {dataset}: the seeds come from more than one configuration or corpus, so ± "
        "is not the spread over seeds alone."
        for method, dataset in measured.mixed
        if method in chosen and dataset in datasets
    ]
    return make_board(
        [*own, *context],
        {**chosen, **numbers},
        protocol=measured.protocol,
        notes=warnings,
        **about,
    )


def _main_boards(
    measured: Measured, reference: str, published: Sequence[PublishedTable]
) -> Iterator[Board]:
    methods = [method for method in measured.rows if not is_analysis(method)]
    for task in TASKS:
        chosen = measured.select(
            methods, lambda c, task=task: _is_whole(c) and measured.task_of[c.dataset] == task
        )
        if chosen:
            tables = [t for t in published if t.analysis is None and t.task == task]
            about = {"name": task, "title": TASK_TITLES[task], "task": task}
            yield _board(measured, chosen, tables, **about, reference=reference)


def _label_boards(
    measured: Measured, reference: str, published: Sequence[PublishedTable]
) -> Iterator[Board]:
    """Per data set with runs on a share of its labels: every method that has such a run."""
    bases = {label_share(d)[0] for d in measured.task_of if label_share(d)[0] != d}
    for base in sorted(bases, key=lambda dataset: column_order(Column(dataset, "", "", True))):
        chosen = measured.select(
            list(measured.rows), lambda c, base=base: label_share(c.dataset)[0] == base
        )
        chosen = {m: cells for m, cells in chosen.items() if not all(map(_is_whole, cells))}
        yield _board(
            measured,
            chosen,
            [table for table in published if table.analysis == "labels"],
            name=f"labels-{base}",
            title=f"Label efficiency on {Column(base, '', '', True).dataset_title}",
            task=next(task for d, task in measured.task_of.items() if label_share(d)[0] == base),
            analysis="labels",
            reference=reference,
        )


def _analysis_boards(measured: Measured, published: Sequence[PublishedTable]) -> Iterator[Board]:
    """Per analysis and task with a run of its own: its members, those of the main board too."""
    for analysis in (*ANALYSES, _other(measured)):
        titles = {m.method: m.title for m in analysis.members if m.method in measured.rows}
        own = measured.select([method for method in titles if is_analysis(method)], _is_whole)
        columns = {column for cells in own.values() for column in cells}
        tasks = [t for t in TASKS if any(measured.task_of[c.dataset] == t for c in columns)]
        for task in tasks:
            shown = {column for column in columns if measured.task_of[column.dataset] == task}
            several = len(tasks) > 1
            yield _board(
                measured,
                measured.select(list(titles), shown.__contains__),
                [table for table in published if table.analysis == analysis.id],
                titles,
                name=f"analysis-{analysis.id}" + (f"-{task}" if several else ""),
                title=analysis.title + (f", {task}" if several else ""),
                task=task,
                analysis=analysis.id,
                reference=analysis.reference,
                keep_order=True,
            )


def _other(measured: Measured) -> Analysis:
    """Runs of ``configs/analysis`` that no analysis of the papers names, as one of their own."""
    declared = {member.method for analysis in ANALYSES for member in analysis.members}
    rest = [m for m in measured.rows if is_analysis(m) and m not in declared]
    members = [Member(m, measured.rows[m].title) for m in ("vasomim", *rest) if m in measured.rows]
    return Analysis("other", "Further analyses", "", "vasomim", tuple(members))

"""From result records to boards: one per task, label shares, patches, and the papers' analyses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from benchmark.errors import InputError
from benchmark.results import RunRecord, label_share, read_dataset_id
from benchmark.schemas import TASK_KINDS
from benchmark.text import visible
from leaderboard.analyses import is_analysis
from leaderboard.board import Board, Row, Score, Scores, make_board
from leaderboard.columns import Column, column_order, dataset_order, dataset_title, is_patches
from leaderboard.comparable import (
    LEAKAGE_MARK,
    SKIPPED_MARK,
    check_comparable,
    conditions_of,
    grouped,
    is_mixed,
)
from leaderboard.published import PublishedTable, context_rows
from leaderboard.statistics import summarize

#: The board of the overall test over both of its tasks.
COMBINED = {
    "name": "combined",
    "title": "Segmentation and detection together",
    "task": "segmentation",
}


@dataclass(frozen=True)
class Measured:
    """Everything in the records of one protocol.

    Attributes:
        protocol: that of all records.
        rows: one per method, by id, without cells.
        scores: method → column → values by seed.
        task_of: dataset → task.
        mixed: (method, dataset) whose runs differ in more than the seed.
        patches: dataset → method → numbers of analysed patches of its runs.
        further: method → column → score, of metrics of corruptions and k-NN without a column.
        parameters: (method, dataset) of LoRA → numbers of trained and of all parameters.
        split_hashes: dataset → hash of the split that all its records were scored on.
    """

    protocol: str
    rows: dict[str, Row] = field(default_factory=dict)
    scores: dict[str, dict[Column, Score]] = field(default_factory=dict)
    task_of: dict[str, str] = field(default_factory=dict)
    mixed: list[tuple[str, str]] = field(default_factory=list)
    patches: dict[str, dict[str, set[int]]] = field(default_factory=dict)
    further: dict[str, dict[Column, Score]] = field(default_factory=dict)
    parameters: dict[tuple[str, str], tuple[int | None, int | None]] = field(default_factory=dict)
    split_hashes: dict[str, str] = field(default_factory=dict)

    @property
    def methods(self) -> list[str]:
        """The methods that are not runs of an analysis."""
        return [method for method in self.rows if not is_analysis(method)]

    def task(self, column: Column) -> str:
        return self.task_of[column.dataset]

    def select(self, methods: Sequence[str], keep: Callable[[Column], bool]) -> Scores:
        """Method → its scores in the columns to keep; without methods that have none."""
        chosen = {
            method: {column: score for column, score in self.scores[method].items() if keep(column)}
            for method in methods
        }
        return {method: cells for method, cells in chosen.items() if cells}


def read_measured(
    records: Sequence[RunRecord], protocol: str, papers: Mapping[str, str] | None = None
) -> Measured:
    """Check records of one protocol, in any order, and collect their scores.

    Args:
        papers: method → where it was published.

    Raises:
        InputError: no records, or records that must not mix (`check_comparable`).
    """
    if not records:
        raise InputError("a board needs at least one record")
    records = sorted(records, key=lambda record: (record.method, record.dataset, record.seed))
    check_comparable(records, protocol)
    found = Measured(protocol)
    for (method, dataset), runs in grouped(records, lambda r: (r.method, r.dataset)).items():
        last, kind = runs[-1], read_dataset_id(dataset).kind
        printed = map(visible, (last.title, last.family, last.pretraining))
        found.rows[method] = Row(method, method, *printed, (papers or {}).get(method))
        found.task_of[dataset], found.split_hashes[dataset] = last.task, last.split_hash
        if is_mixed(runs):
            found.mixed.append((method, dataset))
        if kind == "lora":
            found.parameters[method, dataset] = (last.trained_parameters, last.parameters)
        elif kind == "patches":
            numbers = {int(r.metrics["patches"].value) for r in runs if "patches" in r.metrics}
            if numbers:
                found.patches.setdefault(dataset, {})[method] = numbers
        values: dict[tuple[bool, Column], dict[int, float]] = {}
        for run in runs:
            for metric, entry in run.metrics.items():
                # Other metrics are kept for readers of the records.
                if entry.headline or kind in ("corruptions", "knn"):
                    definition = visible(entry.definition)
                    column = Column(dataset, metric, definition, entry.higher_is_better)
                    values.setdefault((entry.headline, column), {})[run.seed] = entry.value
        conditions = conditions_of(runs)
        found.scores.setdefault(method, {})
        for (headline, column), by_seed in values.items():
            kept = found.scores if headline else found.further
            summary = summarize(list(by_seed.values()))
            kept.setdefault(method, {})[column] = Score(summary, by_seed, conditions)
    # Encoders of one method are told apart by their ids. Runs of an analysis keep the title of
    # their method: their tables say what they vary.
    several = Counter(found.rows[method].title for method in found.methods)
    for method in found.methods:
        row = found.rows[method]
        if several[row.title] > 1:
            found.rows[method] = replace(row, title=f"{row.title} ({visible(method)})")
    return found


def measured_boards(
    measured: Measured, reference: str, published: Sequence[PublishedTable] = ()
) -> Iterator[Board]:
    """The boards of one protocol: per task, label efficiency, patch features.

    Args:
        reference: id of the pre-declared reference method.
        published: tables whose rows are shown beside the measured ones, for context.
    """
    for task in TASK_KINDS:
        scores = measured.select(
            measured.methods, lambda c, task=task: c.main and measured.task(c) == task
        )
        if scores:
            tables = [t for t in published if t.analysis is None and t.task == task]
            about = {"name": task, "title": task.capitalize(), "task": task}
            yield measured_board(measured, scores, tables, **about, reference=reference)
    yield from _label_boards(measured, reference, published)
    yield from _patch_boards(measured, reference, published)


def combined_board(measured: Measured, reference: str) -> Board | None:
    """Segmentation and detection as one board, for the papers' overall test; None without both."""
    tasks = ("segmentation", "detection")
    scores = measured.select(measured.methods, lambda c: c.main and measured.task(c) in tasks)
    if len({measured.task(column) for cells in scores.values() for column in cells}) < 2:
        return None
    return measured_board(measured, scores, [], reference=reference, **COMBINED)


def measured_board(
    measured: Measured,
    scores: Scores,
    published: Sequence[PublishedTable],
    titles: Mapping[str, str] | None = None,
    **about: object,
) -> Board:
    """A board of these scores, with the published rows of the same columns, and its warnings."""
    columns = {column for cells in scores.values() for column in cells}
    context, context_scores = context_rows(columns, published)
    rows = [
        replace(
            measured.rows[method], title=(titles or {}).get(method, measured.rows[method].title)
        )
        for method in scores
    ]
    datasets = {column.dataset for column in columns}
    warnings = [
        f"{method} on {dataset}: the seeds come from more than one configuration or pre-training "
        "dataset, so ± is not the spread over seeds alone."
        for method, dataset in measured.mixed
        if method in scores and dataset in datasets
    ]
    return make_board(
        [*rows, *context],
        {**scores, **context_scores},
        protocol=measured.protocol,
        notes=[*warnings, *_condition_notes(measured, scores)],
        **about,
    )


def _condition_notes(measured: Measured, scores: Scores) -> Iterator[str]:
    """Which scores have known leakage or skipped steps."""
    leaked, skipped = [], []
    for method, cells in scores.items():
        found = {c.dataset: cells[c].conditions for c in sorted(cells, key=column_order)}
        for dataset, ours in found.items():
            if ours is None:
                continue
            name = f"{measured.rows[method].title} on {dataset_title(dataset)}"
            if ours.leaked:
                leaked.append(f"{name} ({ours.leakage})")
            if ours.skipped_steps:
                skipped.append(f"{name} ({ours.skipped_steps})")
    if leaked:
        yield (
            f"{LEAKAGE_MARK} Known leakage: frames or patients of the pre-training dataset are "
            f"among the tested ones (tools/check.py leakage): {'; '.join(leaked)}."
        )
    if skipped:
        yield (
            f"{SKIPPED_MARK} Training steps skipped, as their loss was not finite: "
            f"{'; '.join(skipped)}."
        )


def _label_boards(
    measured: Measured, reference: str, published: Sequence[PublishedTable]
) -> Iterator[Board]:
    """Per dataset with runs on a share of its labels: every method that has such a run."""
    by_base: dict[str, list[str]] = {}
    for dataset in measured.task_of:
        by_base.setdefault(label_share(dataset)[0], []).append(dataset)
    for base in sorted(by_base, key=dataset_order):
        datasets = by_base[base]
        if datasets == [base]:
            continue
        scores = measured.select(list(measured.rows), lambda c, d=datasets: c.dataset in d)
        yield measured_board(
            measured,
            {m: cells for m, cells in scores.items() if not all(c.all_labels for c in cells)},
            [table for table in published if table.analysis == "labels"],
            name=f"labels-{base}",
            title=f"Label efficiency on {dataset_title(base)}",
            task=measured.task_of[datasets[0]],
            analysis="labels",
            reference=reference,
        )


def _patch_boards(
    measured: Measured, reference: str, published: Sequence[PublishedTable]
) -> Iterator[Board]:
    """Per dataset with an analysis of patch features: every method that has such a run."""
    for dataset in sorted(filter(is_patches, measured.task_of), key=dataset_order):
        scores = measured.select(list(measured.rows), lambda c, d=dataset: c.dataset == d)
        board = measured_board(
            measured,
            scores,
            [table for table in published if table.analysis == "clusters"],
            name=f"clusters-{dataset}",
            title=f"Patch features, {dataset_title(dataset)}",
            task=measured.task_of[dataset],
            analysis="clusters",
            reference=reference,
        )
        yield replace(board, notes=(*board.notes, *_patch_notes(measured, dataset, scores)))


def _patch_notes(measured: Measured, dataset: str, scores: Scores) -> Iterator[str]:
    """Notes on what ± and Calinski–Harabasz do not show by themselves."""
    fixed: dict[str, list[str]] = {}
    for method, cells in scores.items():
        for column in sorted(cells, key=column_order):
            values = cells[column].values.values()
            if len(values) > 1 and len(set(values)) == 1:
                fixed.setdefault(column.label, []).append(measured.rows[method].title)
    if fixed:
        listed = "; ".join(
            label if len(titles) == len(scores) else f"{label} ({', '.join(titles)})"
            for label, titles in fixed.items()
        )
        yield (
            f"Equal for all seeds: {listed}. Where every patch is analysed, the seed enters the "
            "projection only, and t-SNE not at all if it starts from an exact PCA: n seeds count "
            "as one, ± 0 is no spread, and no test follows from it."
        )
    methods_of: dict[int, list[str]] = {}
    for method, numbers in measured.patches.get(dataset, {}).items():
        for number in sorted(numbers):
            methods_of.setdefault(number, []).append(measured.rows[method].title)
    if len(methods_of) > 1:
        listed = "; ".join(f"{n:,} ({', '.join(methods_of[n])})" for n in sorted(methods_of))
        yield (
            "Calinski–Harabasz grows with the number of patches; compare it only where that is "
            f"equal: {listed}."
        )

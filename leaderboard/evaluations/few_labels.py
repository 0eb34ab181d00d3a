"""Few labels against all of them: the share of its own score that a method reaches, and how few
labels suffice to reach a segmentor that is trained from scratch with all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmark.results import DatasetId, read_dataset_id
from leaderboard.board import Board, Row, Score
from leaderboard.columns import Column, dataset_order, labels_title
from leaderboard.evaluations.details import Detail, DetailCell, DetailRow, Number
from leaderboard.evaluations.kinds import all_labels_of
from leaderboard.measured import Measured
from leaderboard.statistics import Summary, difference_text, mean_std, p_text, welch_p

#: Method without pre-training whose score with all labels is the target, and its title.
SCRATCH, SCRATCH_TITLE = "transunet", "TransUNet"

_ALL = "all labels"
#: On the curve, "all" stands at this multiple of the largest number of images.
_GAP = 4


@dataclass(frozen=True)
class _Metric:
    """One metric of a board of few labels.

    Attributes:
        column: that of one of the ids.
        ids: dataset ids with few labels, numbers of images first, each ascending.
        full: dataset id with all labels.
        mark: score of `SCRATCH`, fine-tuned with all labels, or None.
    """

    column: Column
    ids: tuple[str, ...]
    full: str
    mark: Score | None

    def of(self, measured: Measured, method: str, dataset: str) -> Score | None:
        return measured.scores[method].get(replace(self.column, dataset=dataset))

    def by_labels(self, measured: Measured, method: str) -> list[tuple[str, Score]]:
        """The scores of a method with few labels and with all, by ascending labels."""
        scores = {name: self.of(measured, method, name) for name in (*self.ids, self.full)}
        return [(name, score) for name, score in scores.items() if score is not None]


def add_all_labels(board: Board, measured: Measured) -> Board:
    """The board with the comparison to all labels, and a curve per metric."""
    metrics = list(_metrics(board, measured))
    detail = _detail(board, measured, metrics)
    curves = tuple(_curve(board, measured, metric) for metric in metrics)
    return replace(board, details=(detail,) if detail else (), curves=curves)


def _metrics(board: Board, measured: Measured) -> Iterator[_Metric]:
    known = read_dataset_id(board.columns[0].dataset)
    full = all_labels_of(known)
    ids = [
        dataset
        for dataset in sorted(measured.task_of, key=dataset_order)
        if dataset != full and all_labels_of(read_dataset_id(dataset)) == full
    ]
    first: dict[str, Column] = {}
    for column in board.columns:
        first.setdefault(column.metric, column)
    for column in first.values():
        scratch = measured.scores.get(SCRATCH, {})
        mark = scratch.get(replace(column, dataset=known.dataset))
        yield _Metric(column, tuple(ids), full, mark)


def _detail(board: Board, measured: Measured, metrics: Sequence[_Metric]) -> Detail | None:
    columns: list[tuple[str, str]] = []
    for metric in metrics:
        labels = [labels_title(read_dataset_id(dataset)) for dataset in metric.ids]
        columns += [(metric.column.label, title) for title in (_ALL, *labels)]
        columns += [(metric.column.label, f"reaches {SCRATCH_TITLE}")] * (metric.mark is not None)
    rows = []
    for row in board.rows:
        cells = [cell for metric in metrics for cell in _cells(measured, metric, row)]
        rows.append(DetailRow(row.id, (row.title,), tuple(cells)))
    if not any(cell.number for row in rows for cell in row.cells):
        return None
    return Detail(
        "Against all labels", ("Method",), tuple(columns), tuple(rows), tuple(_notes(metrics))
    )


def _notes(metrics: Sequence[_Metric]) -> Iterator[str]:
    yield (
        f"{_ALL.capitalize()}: score of the method with all labels of the training split, "
        "evaluated in the same way. The other columns are the share of it, in %, that the method "
        "reaches: mean and sample standard deviation over the draws, both divided by that score."
    )
    if any(read_dataset_id(dataset).label_count is None for dataset in metrics[0].ids):
        yield (
            "A share of the labels is trained on for as many epochs as all of them, a number of "
            "images for as many steps; and a share is the same for every seed."
        )
    marks = [metric for metric in metrics if metric.mark is not None]
    if marks:
        scores = ", ".join(
            f"{m.column.label} {mean_std(m.mark.summary, m.column.digits)} (n = {m.mark.summary.n})"
            for m in marks
        )
        yield (
            f"Reaches {SCRATCH_TITLE}: the smallest number of labelled images, else share of the "
            "labels, with which the mean is at least as good as that of "
            f"{SCRATCH_TITLE} trained from scratch with all labels: {scores}. In parentheses the "
            "difference to it, and the two-sided p of Welch's t-test, not corrected. Where it is "
            "not reached, the difference is that with the most labels known."
        )
    else:
        yield f"{SCRATCH_TITLE} has no score with all labels here that the methods could reach."


def _cells(measured: Measured, metric: _Metric, row: Row) -> Iterator[DetailCell]:
    column = metric.column
    full = metric.of(measured, row.method, metric.full)
    yield DetailCell(mean_std(full.summary, column.digits)) if full else DetailCell()
    for dataset in metric.ids:
        score = metric.of(measured, row.method, dataset)
        if score is None or full is None or not full.summary.mean:
            yield DetailCell()
            continue
        scale = 100 / full.summary.mean
        std = score.summary.std
        share = Summary(score.summary.mean * scale, std and std * scale, score.summary.n)
        words = f"share of the score with all labels, of {column.definition}"
        number = Number(dataset, f"{column.metric}_share", words, "%", share)
        yield DetailCell(mean_std(share, 1), number)
    if metric.mark is not None:
        yield _reached(metric, metric.by_labels(measured, row.method))


def _reached(metric: _Metric, scores: Sequence[tuple[str, Score]]) -> DetailCell:
    """With how few labels the mark is reached."""
    if not scores:
        return DetailCell()
    column, mark = metric.column, metric.mark
    sign = 1 if column.higher_is_better else -1
    reaching = (
        (dataset, score)
        for dataset, score in scores
        if sign * (score.summary.mean - mark.summary.mean) >= 0
    )
    dataset, score = next(reaching, (None, scores[-1][1]))
    labels = labels_title(read_dataset_id(dataset or scores[-1][0])) or _ALL
    against = ""
    # There is no difference to itself.
    if score is not mark:
        difference = score.summary.mean - mark.summary.mean
        p = welch_p([*score.values.values()], [*mark.values.values()])
        tested = "" if p is None else f", {p_text(p)}"
        against = f" ({difference_text(difference, column.digits)}{tested})"
    if dataset is None:
        return DetailCell(f"not with {labels}{against}")
    unit, value = _labels_value(read_dataset_id(dataset))
    words = f"fewest labels that reach {SCRATCH_TITLE} with all of them, in {column.definition}"
    needed = Summary(value, None, 0)
    number = Number(dataset, f"{column.metric}_labels_needed", words, unit, needed)
    return DetailCell(labels + against, number)


def _labels_value(known: DatasetId) -> tuple[str, float]:
    if known.label_count is not None:
        return "images", float(known.label_count)
    return "%", float(f"{100 * known.label_fraction:g}")


def _curve(board: Board, measured: Measured, metric: _Metric) -> dict[str, Any]:
    """A line of every row over the number of labelled images; the last point is all labels."""
    counts = {
        known.label_count: dataset
        for dataset in metric.ids
        if (known := read_dataset_id(dataset)).label_count is not None
    }
    end = _GAP * max(counts, default=1)
    lines = []
    for row in board.rows:
        at = {x: metric.of(measured, row.method, dataset) for x, dataset in counts.items()}
        at[end] = metric.of(measured, row.method, metric.full)
        points = [
            {"x": x, "mean": s.summary.mean, "std": s.summary.std, "n": s.summary.n}
            for x, s in at.items()
            if s is not None
        ]
        lines.append({"row": row.id, "title": row.title, "points": points})
    mark = metric.mark
    levels = [{"title": f"{SCRATCH_TITLE}, all labels", "mean": mark.summary.mean}] if mark else []
    return {
        "id": f"{board.id}:{metric.column.metric}",
        "title": f"{board.title}, {metric.column.label}",
        "x_label": "Labelled training images (last point: all, not to scale)",
        "unit": metric.column.unit,
        "log_x": True,
        "column": metric.column.id,
        "lines": [line for line in lines if line["points"]],
        "ticks": [{"x": end, "label": "all"}],
        "levels": levels,
    }

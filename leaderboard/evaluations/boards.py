"""The boards of the evaluations: one per table, and per task where it has several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchmark.schemas import TASK_KINDS
from leaderboard.board import Board, Score
from leaderboard.columns import KIND_TITLES, Column, dataset_order, dataset_title
from leaderboard.evaluations.corruptions import add_corruptions
from leaderboard.evaluations.few_labels import add_all_labels
from leaderboard.evaluations.kinds import EVALUATIONS, Table, table_of
from leaderboard.evaluations.pretraining_seeds import add_pretraining_seeds, repeated
from leaderboard.evaluations.transfer import add_transfer
from leaderboard.measured import Measured, measured_board
from leaderboard.statistics import Summary

_DETAILS = {
    "few-labels": add_all_labels,
    "transfer": add_transfer,
    "corruptions": add_corruptions,
}

_SIZES = {
    "trained_m": "parameters that are trained: the adapters and the head",
    "network_m": "parameters of the network that is scored, the adapters merged into it",
}


def evaluation_boards(measured: Measured, reference: str) -> list[Board]:
    """Every method with a record of an evaluation, in its table; none without such records.

    Args:
        reference: id of the pre-declared reference method.
    """
    datasets: dict[Table, list[str]] = {}
    for dataset in sorted(measured.task_of, key=dataset_order):
        if table := table_of(dataset):
            datasets.setdefault(table, []).append(dataset)
    order, kinds = list(EVALUATIONS), list(KIND_TITLES)
    # Stable: tables of few labels stay in the order of their datasets.
    tables = sorted(datasets, key=lambda t: (order.index(t.evaluation), kinds.index(t.kind)))
    return [board for t in tables for board in _boards(measured, t, datasets[t], reference)]


def _boards(
    measured: Measured, table: Table, datasets: Sequence[str], reference: str
) -> Iterator[Board]:
    evaluation = EVALUATIONS[table.evaluation]
    name, title = table.evaluation, evaluation.title
    if table.dataset:
        name += f"-{table.dataset}"
        title += f" on {dataset_title(table.dataset)}"
    if kind := KIND_TITLES[table.kind]:
        name, title = f"{name}-{table.kind}", f"{title}, {kind}"
    # In the order of the main boards; a task without one (patches) follows.
    tasks = dict.fromkeys((*TASK_KINDS, *(measured.task_of[d] for d in datasets)))
    of_task = {t: {d for d in datasets if measured.task_of[d] == t} for t in tasks}
    of_task = {task: chosen for task, chosen in of_task.items() if chosen}
    several = len(of_task) > 1
    for task, chosen in of_task.items():
        scores = measured.select(list(measured.rows), lambda c, chosen=chosen: c.dataset in chosen)
        again = repeated(scores)
        scores = {method: cells for method, cells in scores.items() if method not in again}
        if table.evaluation == "lora":
            scores = {m: {**cells, **_sizes(measured, m, chosen)} for m, cells in scores.items()}
        board = measured_board(
            measured,
            scores,
            [],
            name=f"{name}-{task}" if several else name,
            title=f"{title}, {task}" if several else title,
            task=task,
            analysis=table.evaluation,
            reference=reference,
        )
        # The overall test is that of the papers' tables: fine-tuning on several datasets.
        notes = (evaluation.note, *_chance(board, measured), *_constant(board), *board.notes)
        board = replace(board, notes=notes, column_pairs={}, dataset_pairs={})
        if table.evaluation in ("few-labels", "transfer"):
            # A tested dataset has several columns of one metric: the blocks are not independent.
            board = replace(board, friedman=None)
        if add := _DETAILS.get(table.evaluation):
            board = add(board, measured)
        yield add_pretraining_seeds(board, measured.scores)


def _chance(board: Board, measured: Measured) -> Iterator[str]:
    """A note on the level of uninformative features, where records have it."""
    shown = {column.dataset for column in board.columns}
    levels = {
        column.dataset: score.summary.mean
        for cells in measured.further.values()
        for column, score in cells.items()
        if column.metric == "patch_chance" and column.dataset in shown
    }
    if levels:
        listed = [f"{dataset_title(d)} {levels[d]:.2f}" for d in sorted(levels, key=dataset_order)]
        yield (
            "Chance level of Patch AP, the share of vessel patches in the test split: "
            f"{'; '.join(listed)}. Positions alone may give more, so compare with random weights."
        )


def _constant(board: Board) -> Iterator[str]:
    """A note on scores that no seed changes."""
    fixed = [
        row.title
        for row in board.rows
        if any(c and len(c.values) > 1 and len({*c.values.values()}) == 1 for c in row.cells)
    ]
    if fixed:
        yield (
            f"Equal for all seeds in a column: {', '.join(fixed)}. Nothing in it is drawn by the "
            "seed: n seeds count as one, ± 0 is no spread, and no test follows from it."
        )


def _sizes(measured: Measured, method: str, datasets: set[str]) -> dict[Column, Score]:
    """Numbers of trained and of all parameters in millions, which are not scores."""
    found = {}
    for dataset in datasets:
        numbers = measured.parameters.get((method, dataset), (None, None))
        for (metric, definition), number in zip(_SIZES.items(), numbers):
            if number is not None:
                column = Column(dataset, metric, definition, higher_is_better=False)
                found[column] = Score(Summary(number / 1e6, None, 0))
    return found

"""Transfer: every training set against every test set, and what is lost by not training on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from benchmark.results import read_dataset_id
from leaderboard.board import Board, Score
from leaderboard.columns import Column, dataset_order, dataset_title
from leaderboard.evaluations.details import Detail, DetailCell, DetailRow, Number
from leaderboard.measured import Measured
from leaderboard.statistics import Summary, difference_text, mean_std, rounded, summarize

_MATRIX_NOTE = (
    "Rows: what a model was fine-tuned on; columns: what it is scored on. A model on the test "
    "split of its own dataset is the score of the main board. In parentheses, the difference to "
    "the in-domain score: that of the same method fine-tuned on the tested dataset with all "
    "labels, on the same images. The differences have no test."
)
_DROP_NOTE = (
    "Means over the pairs of a trained and another tested dataset whose in-domain score is known; "
    "their number is stated, and only rows of the same pairs compare. Drop: in-domain score minus "
    "score; it reflects images and annotation rules together."
)


def add_transfer(board: Board, measured: Measured) -> Board:
    """The board with the table of training and test sets, and the mean drops."""
    details = (_matrix(board, measured), _drops(board, measured))
    return replace(board, details=tuple(d for d in details if d.rows))


def _trained(dataset: str) -> str:
    """The id that a model of a transfer was fine-tuned with: ``dca1-to-xcav`` → ``dca1``."""
    known = read_dataset_id(dataset)
    return known._replace(kind="fine-tuning", tested=None, split="train").text


def _tested(dataset: str) -> tuple[str, str]:
    known = read_dataset_id(dataset)
    return known.tested, known.split


def _in_domain(measured: Measured, method: str, column: Column) -> Score | None:
    """The score of a method that was fine-tuned on the tested dataset, on the same images."""
    tested, split = _tested(column.dataset)
    own = split == "test" and read_dataset_id(_trained(column.dataset)).plain
    if not own or measured.split_hashes.get(tested) != measured.split_hashes[column.dataset]:
        return None
    return measured.scores[method].get(replace(column, dataset=tested))


def _metrics(board: Board) -> list[Column]:
    """One column per metric."""
    return list({column.metric: column for column in reversed(board.columns)}.values())[::-1]


def _matrix(board: Board, measured: Measured) -> Detail:
    ids = dict.fromkeys(column.dataset for column in board.columns)
    trained = sorted({_trained(dataset) for dataset in ids}, key=dataset_order)
    # Also the training sets' own test splits, in the same order.
    plain = {(dataset, "test") for dataset in trained if read_dataset_id(dataset).plain}
    tested = sorted(plain | {_tested(d) for d in ids}, key=lambda t: (dataset_order(t[0]), t[1]))
    by_pair = {(_trained(dataset), _tested(dataset)): dataset for dataset in ids}
    metrics = _metrics(board)
    columns = tuple(
        (metric.label, dataset_title(dataset) + ("" if split == "test" else f", {split}"))
        for metric in metrics
        for dataset, split in tested
    )
    rows = []
    for row in board.rows:
        scores = measured.scores[row.method]
        for source in trained:
            cells = []
            for metric in metrics:
                for target in tested:
                    dataset = by_pair.get((source, target))
                    if dataset is None and target == (source, "test"):
                        dataset = source
                    column = replace(metric, dataset=dataset or "")
                    cells.append(_cell(measured, row.method, column, scores.get(column)))
            if any(cell.text != "—" for cell in cells):
                rows.append(DetailRow(row.id, (row.title, dataset_title(source)), tuple(cells)))
    words = ("Method", "Trained on")
    return Detail("Trained on × scored on", words, columns, tuple(rows), (_MATRIX_NOTE,))


def _cell(measured: Measured, method: str, column: Column, score: Score | None) -> DetailCell:
    if score is None:
        return DetailCell()
    text = mean_std(score.summary, column.digits)
    if read_dataset_id(column.dataset).kind != "transfer":
        return DetailCell(text)
    own = _in_domain(measured, method, column)
    if own is None:
        return DetailCell(text)
    difference = score.summary.mean - own.summary.mean
    drop = Summary(-difference, None, 0)
    words = f"in-domain score minus score, of {column.definition}"
    number = Number(column.dataset, f"{column.metric}_drop", words, column.unit, drop)
    return DetailCell(f"{text} ({difference_text(difference, column.digits)})", number)


def _drops(board: Board, measured: Measured) -> Detail:
    metrics = _metrics(board)
    rows = []
    for row in board.rows:
        cells = [cell for metric in metrics for cell in _mean_drop(board, measured, row.id, metric)]
        if any(cell.number for cell in cells):
            rows.append(DetailRow(row.id, (row.title,), tuple(cells)))
    columns = tuple(
        (metric.label, title)
        for metric in metrics
        for title in ("Pairs", "Score", "In-domain", "Drop")
    )
    return Detail("Drop from the in-domain score", ("Method",), columns, tuple(rows), (_DROP_NOTE,))


def _mean_drop(
    board: Board, measured: Measured, method: str, metric: Column
) -> Sequence[DetailCell]:
    known = []
    for column in board.columns:
        score = measured.scores[method].get(column)
        own = _in_domain(measured, method, column)
        if column.metric == metric.metric and score and own:
            known.append((score.summary.mean, own.summary.mean))
    if not known:
        return [DetailCell()] * 4
    score, own = (summarize(values).mean for values in zip(*known))
    words = f"in-domain score minus score, mean over {len(known)} pairs, of {metric.definition}"
    drop = Summary(own - score, None, 0)
    number = Number("", f"{metric.metric}_mean_drop", words, metric.unit, drop)
    texts = [rounded(value, metric.digits) for value in (score, own, drop.mean)]
    return [*map(DetailCell, (str(len(known)), *texts[:2])), DetailCell(texts[2], number)]

"""The leaderboard as one CSV table in long format, for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from benchmark.text import csv_text
from leaderboard.board import Board, Cell, Row
from leaderboard.build import Leaderboard
from leaderboard.columns import Column
from leaderboard.comparisons import Comparison, comparisons
from leaderboard.evaluations.details import Detail, Number
from leaderboard.statistics import Summary
from leaderboard.tables.costs import cost_lines

_CONDITIONS = {
    "leakage_exact": "exact",
    "leakage_similar": "similar",
    "leakage_patients": "groups",
    "skipped_steps": "skipped_steps",
}
_TEST = ("difference", "ci_low", "ci_high", "p", "p_holm", "p_bh", "verdict")
_IMAGES = ("images", "patients", "image_ci_low", "image_ci_high")
_IMAGES += ("image_p", "image_p_holm", "image_p_bh")

CSV_HEADER = (
    *("board", "row", "method", "title", "pretraining", "origin", "source"),
    *("dataset", "metric", "definition", "unit", "seeds", "mean", "std", "mean_low", "mean_high"),
    *("place", "rank", "tier", *_CONDITIONS, "reference", *_TEST, *_IMAGES),
)


def to_csv(leaderboard: Leaderboard) -> str:
    """The leaderboard as CSV text with the columns `CSV_HEADER`: a line per board, row and column.

    Numbers are at full precision, in the metric's units; ``seeds`` counts them; ``mean_low`` and
    ``mean_high`` the 95 % interval of the mean; undefined values are empty, and an empty cell has
    no line. Costs are lines of the board ``costs``, frozen against fine-tuned scores of the board
    ``overview``; numbers of further tables of a board have metrics of their own. The average rank
    of a row is a line of its own, with the metric ``average_rank``, no dataset, and its bootstrap
    interval. A text that a spreadsheet would run as a formula starts with an apostrophe
    (`csv_text`).
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, CSV_HEADER, restval=None, lineterminator="\n")
    writer.writeheader()
    for board in leaderboard.boards:
        tests = {
            (comparison.row.id, comparison.column): comparison
            for comparison in comparisons(board, board.reference, leaderboard.correction)
        }
        for row in board.rows:
            for column, cell in zip(board.columns, row.cells):
                if cell is not None:
                    test = tests.get((row.id, column))
                    line = _row(board, row) | _cell(column, cell)
                    writer.writerow(_safe(line | (_test(board, test) if test else {})))
            if row.average_rank is not None:
                writer.writerow(_safe(_row(board, row) | _average(board, row)))
        for detail in board.details:
            writer.writerows(_safe(_row(board, row) | line) for row, line in _detail(board, detail))
    writer.writerows(map(_safe, _scatter(leaderboard)))
    writer.writerows(map(_safe, cost_lines(leaderboard)))
    return stream.getvalue()


def _safe(line: dict[str, object]) -> dict[str, object]:
    return {key: csv_text(cell) if isinstance(cell, str) else cell for key, cell in line.items()}


def _row(board: Board, row: Row) -> dict[str, object]:
    return {
        "board": board.id,
        "row": row.id,
        "method": row.method,
        "title": row.title,
        "pretraining": row.pretraining,
        "origin": row.origin,
        "source": row.source,
    }


def _detail(board: Board, detail: Detail) -> Iterator[tuple[Row, dict[str, object]]]:
    """The row and the number of every cell that has one."""
    for row in detail.rows:
        for number in (cell.number for cell in row.cells if cell.number):
            yield board.row(row.row), _numbers(number, number.summary, number.interval)


def _numbers(
    of: Column | Number, summary: Summary, interval: tuple[float, float] | None
) -> dict[str, object]:
    low, high = interval or (None, None)
    return {
        "dataset": of.dataset or None,
        "metric": of.metric,
        "definition": of.definition,
        "unit": of.unit,
        "seeds": summary.n or None,
        "mean": summary.mean,
        "std": summary.std,
        "mean_low": low,
        "mean_high": high,
    }


def _scatter(leaderboard: Leaderboard) -> Iterator[dict[str, object]]:
    """Both means of every method, and their correlation."""
    scatter = leaderboard.scatter
    if scatter is None:
        return
    over = f"{scatter.metric}, mean over {', '.join(scatter.datasets)}"
    for point in scatter.points:
        about = {"row": point.method, "method": point.method, "title": point.title}
        for metric, score in (("frozen", point.frozen), ("fine_tuned", point.fine_tuned)):
            what = {"metric": metric, "definition": over, "unit": scatter.unit}
            numbers = {"seeds": score.n or None, "mean": score.mean, "std": score.std}
            yield {"board": "overview", "origin": "measured", **about, **what, **numbers}
    if (test := scatter.correlation).rho is not None:
        words = f"Spearman's rho of frozen and fine-tuned scores of {test.n} methods"
        numbers = {"metric": "spearman", "definition": words, "mean": test.rho, "p": test.p}
        yield {"board": "overview", "origin": "measured", **numbers}


def _cell(column: Column, cell: Cell) -> dict[str, object]:
    conditions = cell.conditions
    known = {k: getattr(conditions, name) for k, name in _CONDITIONS.items()} if conditions else {}
    ranks = {"place": cell.place or None, "rank": cell.rank, "tier": cell.tier}
    return {**_numbers(column, cell.summary, cell.interval), **ranks, **known}


def _average(board: Board, row: Row) -> dict[str, object]:
    low, high = row.rank_interval or (None, None)
    average = row.average_rank
    complete, competing = board.ranked
    among = "" if complete == competing else f" among {complete} of {competing} rows"
    return {
        "metric": "average_rank",
        "definition": f"mean of the ranks over columns{among}, ties share the better rank",
        "mean": average.mean,
        "std": average.std,
        "mean_low": low,
        "mean_high": high,
    }


def _test(board: Board, comparison: Comparison) -> dict[str, object]:
    test, per_image = comparison.test, comparison.per_image
    numbers = (test.difference, test.ci_low, test.ci_high, test.p)
    values = (*numbers, comparison.p_holm, comparison.p_bh, comparison.verdict)
    line = {"reference": board.reference, **dict(zip(_TEST, values))}
    if per_image is not None:
        b = per_image.bootstrap
        images = (b.n_images, b.n_clusters, b.ci_low, b.ci_high, per_image.p)
        images += (comparison.image_p_holm, comparison.image_p_bh)
        line |= dict(zip(_IMAGES, images))
    return line

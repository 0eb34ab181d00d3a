"""The leaderboard as plain data: what ``leaderboard.json`` holds and the page is made of.

All numbers are at full precision; what is undefined is None and never NaN. Units are those of the
columns: percent, or dB for PSNR. Texts of records are as they are shown (`benchmark.text.visible`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.results import RunRecord, path_of
from benchmark.text import visible
from leaderboard.board import Board, Cell, Column, PerImage, Row
from leaderboard.build import Leaderboard
from leaderboard.comparisons import Comparison, by_reference, comparisons, overall
from leaderboard.curves import curves
from leaderboard.omnibus import ALPHA
from leaderboard.tables.notes import board_notes, general_notes

#: Version of the layout.
SCHEMA = 1

#: Fields of a record that a reader of the page gets to see for each run, as they are.
_RUN_FIELDS = (
    *("method", "title", "dataset", "seed", "finished", "device", "git", "versions", "encoder"),
    *("split_hash", "corpus_hash", "config_hash", "wall_time_s", "images_per_s"),
    *("peak_memory_mb", "n_images", "metrics", "config"),
)


def board_data(
    leaderboard: Leaderboard, gallery: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Everything about the leaderboard as values that JSON knows.

    Tests are there against every row as reference, so that a page can switch without computing.

    Args:
        gallery: example pictures (`leaderboard.gallery.gallery`).
    """
    combined = leaderboard.combined
    return {
        "schema": SCHEMA,
        "title": leaderboard.title,
        "protocol": leaderboard.protocol,
        "reference": leaderboard.reference,
        "correction": leaderboard.correction,
        "boards": [_board(board, leaderboard) for board in leaderboard.boards],
        "combined": None
        if combined is None
        else {
            "title": combined.title,
            "reference_row": combined.reference,
            "columns": [column.id for column in combined.columns if column.unit == "%"],
            "overall": _tests(combined, overall, leaderboard.correction),
        },
        "curves": curves(leaderboard.boards),
        "runs": {_run_id(record): _run(record) for record in leaderboard.records},
        "gallery": list(gallery),
        "problems": list(leaderboard.problems),
        "notes": general_notes(leaderboard),
    }


def _run_id(record: RunRecord) -> str:
    return path_of(record).with_suffix("").as_posix()


def _run(record: RunRecord) -> dict[str, Any]:
    return {name: _shown(getattr(record, name)) for name in _RUN_FIELDS}


def _shown(value: Any) -> Any:
    """A value of a record with every text in it `visible`: the page shows all of them."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {visible(key): _shown(item) for key, item in value.items()}
    return [_shown(item) for item in value] if isinstance(value, list) else value


def _board(board: Board, leaderboard: Leaderboard) -> dict[str, Any]:
    return {
        "id": board.id,
        "title": board.title,
        "task": board.task,
        "protocol": board.protocol,
        "analysis": board.analysis,
        "origin": board.origin,
        "reference_row": board.reference,
        "columns": [_column(column) for column in board.columns],
        "rows": [_row(row, board.columns, leaderboard.protocol) for row in board.rows],
        "friedman": _friedman(board),
        "comparisons": _tests(board, comparisons, leaderboard.correction),
        "overall": _tests(board, overall, leaderboard.correction),
        "notes": board_notes(board, leaderboard.correction),
    }


def _column(column: Column) -> dict[str, Any]:
    return {
        "id": column.id,
        "dataset": column.dataset,
        "dataset_title": column.dataset_title,
        "metric": column.metric,
        "label": column.label,
        "definition": column.definition,
        "unit": column.unit,
        "higher_is_better": column.higher_is_better,
    }


def _row(row: Row, columns: Sequence[Column], protocol: str) -> dict[str, Any]:
    low, high = row.rank_interval or (None, None)
    average = row.average_rank
    return {
        "id": row.id,
        "method": row.method,
        "title": row.title,
        "family": row.family,
        "pretraining": row.pretraining,
        "paper": row.paper,
        "origin": "measured" if row.source is None else "published",
        "source": row.source,
        "complete": row.complete,
        "average_rank": None
        if average is None
        else {"mean": average.mean, "std": average.std, "low": low, "high": high},
        "cells": [
            cell and _cell(cell, f"{protocol}/{row.method}/{column.dataset}")
            for cell, column in zip(row.cells, columns)
        ],
    }


def _cell(cell: Cell, runs: str) -> dict[str, Any]:
    low, high = cell.interval or (None, None)
    return {
        "mean": cell.summary.mean,
        "std": cell.summary.std,
        "n": cell.summary.n or None,
        "ci_low": low,
        "ci_high": high,
        "seeds": list(cell.values),
        "values": list(cell.values.values()),
        "place": cell.place,
        "rank": cell.rank,
        "tier": cell.tier,
        "runs": [f"{runs}/seed{seed}" for seed in cell.values],
    }


def _friedman(board: Board) -> dict[str, Any] | None:
    test = board.friedman
    if test is None or test.p is None:
        return None
    names = [row.id for row in board.rows if row.average_rank is not None]
    return {
        "statistic": test.statistic,
        "p": test.p,
        "n": test.n,
        "k": test.k,
        "alpha": ALPHA,
        "critical_difference": test.critical_difference,
        "ranks": dict(zip(names, test.mean_ranks)),
        "groups": [[names[index] for index in group] for group in test.groups],
    }


def _tests(board: Board, kind: Any, correction: str) -> dict[str, list[dict[str, Any]]]:
    """Reference → what every other row's test against it says."""
    found = by_reference(board, kind, correction)
    return {reference: list(map(_test, tests)) for reference, tests in found.items()}


def _test(comparison: Comparison) -> dict[str, Any]:
    test = comparison.test
    found = {
        "row": comparison.row.id,
        "n": test.n,
        "difference": test.difference,
        "ci_low": test.ci_low,
        "ci_high": test.ci_high,
        "p": test.p,
        "p_holm": comparison.p_holm,
        "p_bh": comparison.p_bh,
        "verdict": comparison.verdict,
    }
    if comparison.column is not None:
        found["column"] = comparison.column.id
        found["per_image"] = comparison.per_image and _per_image(comparison.per_image)
    return found


def _per_image(test: PerImage) -> dict[str, Any]:
    bootstrap = test.bootstrap
    return {
        "n_images": bootstrap.n_images,
        "n_clusters": bootstrap.n_clusters,
        "difference": bootstrap.difference,
        "ci_low": bootstrap.ci_low,
        "ci_high": bootstrap.ci_high,
        "p": test.p,
        "note": bootstrap.note,
        "seeds": list(test.seeds),
    }

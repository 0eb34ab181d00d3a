"""The leaderboard as plain data: the content of ``leaderboard.json``, which the page is made of.

All numbers are at full precision; what is undefined is None and never NaN. Units are those of the
columns: percent, or dB for PSNR. Texts of records are as they are shown (`benchmark.text.visible`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmark.results import RunRecord, path_of
from benchmark.text import visible
from leaderboard.board import Board, Cell, PerImage, Row
from leaderboard.build import Leaderboard
from leaderboard.columns import Column
from leaderboard.comparable import WARNINGS
from leaderboard.comparisons import (
    Comparison,
    by_reference,
    comparisons,
    is_large,
    overall,
    references,
)
from leaderboard.costs import cost_axes
from leaderboard.curves import curves
from leaderboard.evaluations.scatter import Scatter
from leaderboard.page import SCHEMA
from leaderboard.page.palette import series_styles
from leaderboard.statistics import ALPHA
from leaderboard.tables.costs import cost_data
from leaderboard.tables.grids import Grid, detail_grid, overview_grids, rank_title
from leaderboard.tables.notes import fixed_notes, general_notes, reference_notes
from leaderboard.tables.sources import citation, data_sources, shown_cards

#: Fields of a card that the page shows of each method.
_LINKS = ("paper", "paper_url", "code", "licence")

#: Fields of a record that the page shows of each run.
_RUN_FIELDS = (
    *("method", "title", "dataset", "seed", "finished", "device", "git", "versions", "encoder"),
    *("split_hash", "corpus_hash", "config_hash", "wall_time_s", "images_per_s"),
    *("peak_memory_mb", "n_images", "leakage", "skipped_steps", "metrics", "config"),
)
_RUN_KEYS = set(_RUN_FIELDS)
_encode = json.JSONEncoder(ensure_ascii=False).encode


def board_data(
    leaderboard: Leaderboard,
    gallery: Sequence[Mapping[str, Any]] = (),
    pictures: str | None = None,
) -> dict[str, Any]:
    """Everything about the leaderboard as JSON-able values.

    Holds the tests against every row as reference (of a large board against the declared one, see
    `leaderboard.comparisons.references`), so that the page can switch between them.

    Args:
        gallery: examples, the entries of `leaderboard.pictures.gallery.Gallery`.
        pictures: name of the folder beside the page that holds their pictures; None: there is none.
    """
    combined = leaderboard.combined
    return {
        "schema": SCHEMA,
        **_fields(leaderboard, "title", "protocol", "reference", "correction"),
        "boards": [_board(board, leaderboard) for board in leaderboard.boards],
        "combined": None
        if combined is None
        else {
            "title": combined.title,
            "reference_row": combined.reference,
            "columns": [column.id for column in combined.columns if column.unit == "%"],
            # On the page, the reference is that of the first board.
            "overall": _tests(
                combined,
                overall,
                leaderboard.correction,
                references(combined, is_large(leaderboard.boards[0])),
            ),
        },
        "curves": curves(leaderboard.boards),
        "costs": cost_data(leaderboard),
        "newest": leaderboard.newest,
        "methods": {m: _fields(card, *_LINKS) for m, card in shown_cards(leaderboard).items()},
        "data": {name: source._asdict() for name, source in data_sources(leaderboard).items()},
        "citation": citation(leaderboard).splitlines(),
        "runs": {
            path_of(record).with_suffix("").as_posix(): _run(record)
            for record in leaderboard.records
        },
        "gallery": list(gallery),
        "pictures": pictures,
        "problems": list(leaderboard.problems),
        "notes": general_notes(leaderboard),
        **_overview(leaderboard),
    }


def _fields(value: object, *names: str) -> dict[str, Any]:
    """The attributes of these names."""
    return {name: getattr(value, name) for name in names}


def _run(record: RunRecord) -> dict[str, Any]:
    values = record.model_dump(include=_RUN_KEYS)
    run = {name: values[name] for name in _RUN_FIELDS}
    # A backslash is the escape of a character, or one itself. Hardly any run has either.
    text = _encode(run)
    return run if text.isprintable() and "\\" not in text else _visible(run)


def _visible(value: Any) -> Any:
    """A value of a record with all its texts `visible`."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {visible(key): _visible(item) for key, item in value.items()}
    return [_visible(item) for item in value] if isinstance(value, list) else value


def _board(board: Board, leaderboard: Leaderboard) -> dict[str, Any]:
    correction, rows = leaderboard.correction, references(board, is_large(board))
    evaluation = {}
    if board.is_evaluation:  # the group of their tab, and further tables
        details = [_grid(detail_grid(detail)) for detail in board.details]
        evaluation = {"group": "evaluations", "details": details}
    return {
        **_fields(board, "id", "title", "task", "protocol", "analysis", "origin"),
        "reference_row": board.reference,
        "columns": [_column(column) for column in board.columns],
        "rows": [_row(row, board.columns, leaderboard.protocol) for row in board.rows],
        "families": series_styles(sorted({row.family for row in board.rows})),
        "friedman": _friedman(board),
        "comparisons": _tests(board, comparisons, correction, rows),
        "overall": _tests(board, overall, correction, rows),
        "cost_axes": [asdict(axis) for axis in cost_axes(board, leaderboard.costs)],
        "ranked": list(board.ranked),
        "rank_title": rank_title(board),
        "notes": [*fixed_notes(board), *_limit_notes(board)],
        "reference_notes": _reference_notes(board, correction, rows),
        **evaluation,
    }


def _reference_notes(board: Board, correction: str, rows: list[str]) -> dict[str, list[str]]:
    """Row → the notes on the tests against it, for each of these rows."""
    notes = {row: reference_notes(board, row, correction) for row in rows}
    return {row: texts for row, texts in notes.items() if texts}


def _limit_notes(board: Board) -> list[str]:
    """The note where not every row can be the reference."""
    if not is_large(board):
        return []
    competing = sum(not row.context for row in board.rows)
    return [
        f"With {competing} rows only the declared reference can be chosen here: tests against "
        "all of them would make the page too large. Declare another one with --reference."
    ]


def _overview(leaderboard: Leaderboard) -> dict[str, Any]:
    """The comparison of the evaluations; empty without them."""
    ranks, scatter = leaderboard.overview, leaderboard.scatter
    if ranks is None and scatter is None:
        return {}
    grids = map(_grid, overview_grids(leaderboard))
    return {"overview": {"tables": list(grids), "scatter": scatter and _scatter(scatter)}}


def _grid(grid: Grid) -> dict[str, Any]:
    """A table as it is printed, with the meaning of its marks."""
    marks = "".join(entry.suffix for row in grid.rows for entry in row)
    warnings = (f"{mark} {words}." for mark, words in WARNINGS.items() if mark in marks)
    return {
        "title": grid.heading,
        "header": list(grid.header),
        "n_text": grid.n_text,
        "rows": [[entry.text + entry.suffix for entry in row] for row in grid.rows],
        "places": [[entry.place for entry in row] for row in grid.rows],
        "notes": [*grid.notes, *warnings],
    }


def _scatter(scatter: Scatter) -> dict[str, Any]:
    points = [
        {
            **_fields(point, "method", "title"),
            **{"frozen": point.frozen.mean, "frozen_std": point.frozen.std},
            **{"fine_tuned": point.fine_tuned.mean, "fine_tuned_std": point.fine_tuned.std},
        }
        for point in scatter.points
    ]
    return {
        **_fields(scatter, "metric", "unit"),
        "datasets": list(scatter.datasets),
        "points": points,
        "correlation": _fields(scatter.correlation, "n", "rho", "p", "exact"),
        "notes": list(scatter.notes),
    }


def _column(column: Column) -> dict[str, Any]:
    names = ("id", "dataset", "dataset_title", "metric", "label", "definition", "unit")
    names += ("digits", "score")
    return {**_fields(column, *names, "higher_is_better"), "bases": list(column.bases)}


def _row(row: Row, columns: Sequence[Column], protocol: str) -> dict[str, Any]:
    low, high = row.rank_interval or (None, None)
    average = row.average_rank
    names = ("id", "method", "title", "family", "pretraining", "paper", "origin", "source")
    return {
        **_fields(row, *names),
        "complete": all(
            cell is not None for cell, column in zip(row.cells, columns) if column.score
        ),
        "average_rank": None
        if average is None
        else {"mean": average.mean, "std": average.std, "low": low, "high": high},
        "cells": [
            cell and _cell(cell, f"{protocol}/{row.method}/{column.dataset}")
            for cell, column in zip(row.cells, columns)
        ],
    }


def _cell(cell: Cell, folder: str) -> dict[str, Any]:
    low, high = cell.interval or (None, None)
    return {
        **_fields(cell.summary, "mean", "std"),
        "n": cell.summary.n or None,
        "ci_low": low,
        "ci_high": high,
        "seeds": list(cell.values),
        "values": list(cell.values.values()),
        **_fields(cell, "place", "rank", "tier"),
        "leakage": cell.conditions.leakage if cell.conditions else "",
        "skipped_steps": cell.conditions.skipped_steps if cell.conditions else 0,
        "runs": [f"{folder}/seed{seed}" for seed in cell.values],
    }


def _friedman(board: Board) -> dict[str, Any] | None:
    test = board.friedman
    if test is None or test.p is None:
        return None
    names = [row.id for row in board.rows if row.average_rank is not None]
    return {
        **_fields(test, "statistic", "p", "n", "k", "critical_difference"),
        "alpha": ALPHA,
        "ranks": dict(zip(names, test.mean_ranks)),
        "groups": [[names[index] for index in group] for group in test.groups],
    }


def _tests(
    board: Board, kind: Any, correction: str, rows: list[str]
) -> dict[str, list[dict[str, Any]]]:
    """Reference → the test of every other row against it, for each of these rows."""
    tests = by_reference(board, kind, correction, rows)
    return {reference: list(map(_test, against)) for reference, against in tests.items()}


def _test(comparison: Comparison) -> dict[str, Any]:
    entry = {
        "row": comparison.row.id,
        **_fields(comparison.test, "n", "difference", "ci_low", "ci_high", "p"),
        **_fields(comparison, "p_holm", "p_bh", "verdict"),
    }
    if comparison.column is not None:
        entry["column"] = comparison.column.id
        entry["per_image"] = comparison.per_image and _per_image(comparison, comparison.per_image)
    if comparison.over_columns is not None:
        entry["over_columns"] = _fields(comparison.over_columns, "n", "difference", "p")
    return entry


def _per_image(comparison: Comparison, test: PerImage) -> dict[str, Any]:
    names = ("n_images", "n_clusters", "difference", "ci_low", "ci_high", "note")
    adjusted = {"p_holm": comparison.image_p_holm, "p_bh": comparison.image_p_bh}
    return {**_fields(test.bootstrap, *names), "p": test.p, **adjusted, "seeds": list(test.seeds)}

"""Corruptions one by one: the mean score under each, and how it falls with the severity."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from benchmark.results import read_dataset_id
from leaderboard.board import Board
from leaderboard.columns import Column, dataset_title
from leaderboard.evaluations.details import Detail, DetailCell, DetailRow, Number
from leaderboard.measured import Measured
from leaderboard.statistics import mean_std

#: Metric → title, of the uncorrupted images.
_CLEAN = {
    "dsc_clean": "Uncorrupted",
    "ece_clean": "ECE, uncorrupted",
    "brier_clean": "Brier, uncorrupted",
}
#: A corruption in one severity, ``dsc_jpeg_3``; ``dsc_jpeg`` is the mean over its severities.
_AT_SEVERITY = re.compile(r"dsc_(?P<name>.+)_(?P<severity>\d)")

#: Corruptions in the order of print; others follow by name.
_ORDER = ("quantum_noise", "electronic_noise", "motion_blur", "contrast_dilution", "window", "jpeg")
_ORDER += ("resolution",)

_NOTE = (
    "DSC of the uncorrupted test images, then its mean over the severities of each corruption; not "
    "ranked and not tested. The curves show the severities."
)


def add_corruptions(board: Board, measured: Measured) -> Board:
    """The board with a table of the corruptions and their curves, per dataset."""
    datasets = list(dict.fromkeys(column.dataset for column in board.columns))
    details = [_detail(board, measured, dataset) for dataset in datasets]
    curves = [curve for d in datasets for curve in _curves(board, measured, d)]
    return replace(board, details=tuple(d for d in details if d.rows), curves=tuple(curves))


def corruption_title(name: str) -> str:
    """As printed: ``motion_blur`` → ``Motion blur``."""
    words = name.replace("_", " ")
    return {"jpeg": "JPEG"}.get(words, words[:1].upper() + words[1:])


def _columns(measured: Measured, dataset: str) -> dict[str, Column]:
    """Metric → column, of the metrics of a dataset without a column on the board."""
    columns = {c for cells in measured.further.values() for c in cells if c.dataset == dataset}
    return {column.metric: column for column in sorted(columns, key=lambda c: c.metric)}


def _severities(columns: dict[str, Column]) -> dict[str, dict[int, Column]]:
    """Corruption → severity → column, severity 0 being the uncorrupted images."""
    found: dict[str, dict[int, Column]] = {}
    for metric, column in columns.items():
        if match := _AT_SEVERITY.fullmatch(metric):
            found.setdefault(match["name"], {})[int(match["severity"])] = column
    if "dsc_clean" in columns:
        for of_corruption in found.values():
            of_corruption[0] = columns["dsc_clean"]
    known = [name for name in _ORDER if name in found]
    return {name: found[name] for name in (*known, *sorted(found.keys() - known))}


def _title(dataset: str) -> str:
    """The dataset without the kind of its evaluation, which the title of the board says."""
    return dataset_title(read_dataset_id(dataset)._replace(kind="fine-tuning").text)


def _detail(board: Board, measured: Measured, dataset: str) -> Detail:
    known = _columns(measured, dataset)
    first, *others = _CLEAN
    single = {f"dsc_{name}": corruption_title(name) for name in _severities(known)}
    titles = {first: _CLEAN[first], **single, **{name: _CLEAN[name] for name in others}}
    shown = {metric: title for metric, title in titles.items() if metric in known}
    rows = []
    for row in board.rows:
        scores = measured.further.get(row.method, {})
        cells = []
        for metric in shown:
            column = known[metric]
            score = scores.get(column)
            if score is None:
                cells.append(DetailCell())
                continue
            number = Number(dataset, metric, column.definition, column.unit, score.summary)
            cells.append(DetailCell(mean_std(score.summary, column.digits), number))
        if any(cell.number for cell in cells):
            rows.append(DetailRow(row.id, (row.title,), tuple(cells)))
    columns = tuple(("", title) for title in shown.values())
    return Detail(
        f"DSC by corruption, {_title(dataset)}", ("Method",), columns, tuple(rows), (_NOTE,)
    )


def _curves(board: Board, measured: Measured, dataset: str) -> Iterator[dict[str, Any]]:
    for name, columns in _severities(_columns(measured, dataset)).items():
        lines = []
        for row in board.rows:
            scores = measured.further.get(row.method, {})
            known = {s: scores[c].summary for s, c in sorted(columns.items()) if c in scores}
            points = [
                {"x": severity, "mean": score.mean, "std": score.std, "n": score.n}
                for severity, score in known.items()
            ]
            if points:
                lines.append({"row": row.id, "title": row.title, "points": points})
        yield {
            "id": f"{board.id}:{dataset}/{name}",
            "title": f"{_title(dataset)}, {corruption_title(name)}, DSC",
            "x_label": "Severity (0: uncorrupted)",
            "unit": "%",
            "log_x": False,
            "column": f"{dataset}/dsc",
            "lines": lines,
        }

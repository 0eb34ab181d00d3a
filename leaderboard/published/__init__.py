"""The tables of the VasoMIM papers, as printed there.

``tables.json`` describes each table or figure and cites its source; ``<id>.csv`` holds its numbers,
one line per row and column, in the units of `leaderboard.columns.METRICS`: scores in percent (SSIM
too, which the paper prints between 0 and 1), indices of clusters as they are (the papers print
multiples). ``std`` is the sample standard deviation over ``n`` seeds, empty where none is printed.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmark.files import read_json
from leaderboard.board import Board, Row, Score, make_board
from leaderboard.columns import Column
from leaderboard.statistics import Summary

FOLDER = Path(__file__).parent

#: Published metrics for which lower is better, costs among them; for all others higher is.
LOWER_IS_BETTER = ("davies_bouldin", "params_m", "gflops", "seconds_per_epoch", "pretraining_hours")

_SCORES = {
    "dsc": "dsc/per-image-mean/empty=1/native-size/v1",
    # 25 classes, which the paper scores with CheXWorld's DSC.
    "arcade_vs/dsc": "dsc/per-image-mean/classes-pooled/empty=1/native-size/v1",
    "cldice": "cldice/per-image-mean/skeletonize-zhang/empty=1/native-size/v1",
    "map50": "coco-ap/bbox/iou=0.50/maxdets=100/area=all/native-size/v1",
    "map75": "coco-ap/bbox/iou=0.75/maxdets=100/area=all/native-size/v1",
    "map": "coco-ap/bbox/iou=0.50:0.95/maxdets=100/area=all/native-size/v1",
    "psnr": "psnr/per-image-mean/8-bit/at-most-100-dB/native-size/v1",
    "ssim": "ssim/per-image-mean/8-bit/uniform-7x7/native-size/v1",
}
_CLUSTERS = ("silhouette", "calinski_harabasz", "davies_bouldin")

#: Protocol → metric, or ``<dataset>/<metric>`` where that differs → id of the definition whose
#: measured numbers are comparable with the published ones. The journal's table VI projects with
#: t-SNE, the conference paper's table 3 with UMAP; both with the settings of
#: ``configs/_base_/representation.py``, as the papers state none.
COMPARABLE = {
    protocol: _SCORES
    | {name: f"{name.replace('_', '-')}/vessel-patches/{space}/v2" for name in _CLUSTERS}
    for protocol, space in (
        ("journal", "tsne-2d/1px-224x224-max40000/iterations1000-perplexity30"),
        ("aaai", "umap-2d/1px-224x224-max40000/min_distance0.1-neighbours15"),
    )
}


def is_comparable(protocol: str, column: Column) -> bool:
    """Whether the published numbers of a protocol are comparable with a measured column."""
    declared = COMPARABLE[protocol]
    return column.definition == declared.get(column.id, declared.get(column.metric))


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """One table of a paper.

    Attributes:
        id, title, task, protocol: what it is about; `protocol` is that of comparable runs.
        analysis: id of the analysis it belongs to (`leaderboard.analyses`), None for a main table;
            ``"images"`` and ``"costs"`` for the tables without scores.
        citation: where it was printed.
        reference: method the other rows are tested against in the overall test.
        note: what a reader has to know; may be empty.
        rows: in the order of print, without cells.
        scores: row id → column → mean, standard deviation (None where not printed), seeds.
    """

    id: str
    title: str
    task: str
    protocol: str
    analysis: str | None
    citation: str
    reference: str
    note: str
    rows: tuple[Row, ...]
    scores: dict[str, dict[Column, Score]]

    def board(self) -> Board:
        """The table as a board of its own."""
        return make_board(
            self.rows,
            self.scores,
            name=self.id,
            title=self.title,
            task=self.task,
            protocol=self.protocol,
            analysis=self.analysis,
            reference=next((row.id for row in self.rows if row.method == self.reference), ""),
            keep_order=self.analysis is not None,
            notes=[f"Source: {self.citation}.", *([self.note] if self.note else [])],
        )


def read_tables() -> list[PublishedTable]:
    """All published tables, in the order of ``tables.json``."""
    return [_read_table(entry) for entry in read_json(FOLDER / "tables.json")]


def _read_table(entry: dict[str, Any]) -> PublishedTable:
    with open(FOLDER / f"{entry['id']}.csv", encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    rows: dict[str, Row] = {}
    scores: dict[str, dict[Column, Score]] = {}
    for line in lines:
        name = f"published:{entry['id']}:{line['title']}"
        std = float(line["std"]) if line["std"] else None
        decimals = len(line["mean"].partition(".")[2])
        summary = Summary(float(line["mean"]), std, int(line["n"] or 0), decimals)
        rows[name] = Row(
            id=name,
            method=line["method"],
            title=line["title"],
            family=line["family"],
            pretraining=line["pretraining"],
            source=entry["citation"],
        )
        dataset, metric = line["dataset"], line["metric"]
        # The definition is the paper's, not one of this project.
        column = Column(dataset, metric, "as published", metric not in LOWER_IS_BETTER)
        scores.setdefault(name, {})[column] = Score(summary)
    return PublishedTable(**entry, rows=tuple(rows.values()), scores=scores)


def context_rows(
    columns: Collection[Column], tables: Sequence[PublishedTable]
) -> tuple[list[Row], dict[str, dict[Column, Score]]]:
    """Rows of published tables for a board of measured ones, for context.

    Args:
        columns: those of the board; published numbers in other columns are skipped.

    Returns:
        The rows with a number in at least one of the columns, and their scores.
    """
    by_id = {column.id: column for column in columns}
    rows, scores = [], {}
    for table in tables:
        for row in table.rows:
            cells = {
                by_id[column.id]: score
                for column, score in table.scores[row.id].items()
                if column.id in by_id
            }
            if cells:
                rows.append(replace(row, context=True))
                scores[row.id] = cells
    return rows, scores

"""What a figure shows of a ``leaderboard.json``: one board, its rows, columns and tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmark.errors import InputError
from benchmark.files import read_json
from leaderboard.comparable import LEAKAGE_MARK, SKIPPED_MARK, WARNINGS
from leaderboard.page import SCHEMA

FigureRow = dict[str, Any]
#: Correction of the board → key of the p-value that its verdicts are based on.
P_KEYS = {"holm": "p_holm", "bh": "p_bh", "none": "p"}


def read_board_data(path: str | Path) -> dict[str, Any]:
    """The content of a ``leaderboard.json``.

    Raises:
        InputError: no such file, not JSON, or not of the schema of ``tools/leaderboard.py``.
    """
    data = read_json(path)
    schema = data.get("schema") if isinstance(data, dict) and "boards" in data else None
    if schema != SCHEMA:
        raise InputError(
            f"{path}: not a leaderboard of schema {SCHEMA}; make it with tools/leaderboard.py "
            "--format json"
        )
    return data


class BoardView:
    """One board and the look-ups of the figures.

    Attributes:
        spec: the board as in the file.
        rows, columns: those to draw, by default all rows, in the order of the file, and all scores.
        reference: id of the row that the others are compared with; None without tests.
        correction: that of the verdicts, a key of `P_KEYS`.
    """

    def __init__(
        self,
        spec: dict[str, Any],
        data: dict[str, Any],
        rows: Sequence[str] = (),
        columns: Sequence[str] = (),
        reference: str | None = None,
    ) -> None:
        self.spec = spec
        self.correction = data.get("correction", "holm")
        self.rows = self._select(spec["rows"], rows, "row")
        # Costs beside scores have a figure of their own.
        scored = [column["id"] for column in spec["columns"] if column.get("score", True)]
        self.columns = self._select(spec["columns"], columns or scored, "column")
        self._index = {column["id"]: index for index, column in enumerate(spec["columns"])}
        self.reference = self._reference(reference, data["reference"])

    def _select(self, entries: list[FigureRow], ids: Sequence[str], what: str) -> list[FigureRow]:
        """Those with these ids, in the order given; a method selects its rows. All without ids."""
        if not ids:
            return list(entries)
        selected = []
        for name in ids:
            matching = [entry for entry in entries if name in (entry["id"], entry.get("method"))]
            if not matching:
                known = ", ".join(entry["id"] for entry in entries)
                raise InputError(f"{self.spec['id']}: no {what} {name!r}; known: {known}")
            selected += [entry for entry in matching if entry not in selected]
        return selected

    def _reference(self, wanted: str | None, declared: str) -> str | None:
        """The wanted row; by default that of the board, of the file, or the first with tests."""
        tested = self.spec["comparisons"].keys() | self.spec["overall"].keys()
        known = [row for row in self.spec["rows"] if row["id"] in tested]
        for name in (wanted,) if wanted else (self.spec.get("reference_row"), declared):
            for row in known:
                if name in (row["id"], row["method"]):
                    return row["id"]
        if not wanted:
            return known[0]["id"] if known else None
        raise InputError(
            f"{self.spec['id']}: nothing was tested against {wanted!r}; known: "
            f"{', '.join(row['id'] for row in known) or 'no reference'}"
        )

    def label(self, row: FigureRow) -> str:
        """Title of a row; marks published rows on a board that also has measured ones."""
        both = self.spec["origin"] == "both" and row["origin"] == "published"
        return f"{row['title']} (published)" if both else row["title"]

    def title_of(self, row_id: str) -> str:
        """`label` of the row with this id; the id where there is none."""
        rows = (row for row in self.spec["rows"] if row["id"] == row_id)
        return next(map(self.label, rows), row_id)

    def cell(self, row: FigureRow, column: FigureRow) -> dict[str, Any] | None:
        return row["cells"][self._index[column["id"]]]

    def ordered(self) -> list[FigureRow]:
        """The rows by average rank, others after them in the order of the file, as on the page."""

        def key(row: FigureRow) -> float:
            return row["average_rank"]["mean"] if row["average_rank"] else math.inf

        return sorted(self.rows, key=key)

    def tests(self) -> dict[tuple[str, str], dict[str, Any]]:
        """(row id, column id) → test against the reference."""
        tests = self.spec["comparisons"].get(self.reference, [])
        return {(test["row"], test["column"]): test for test in tests}

    def overall(self, reference: str | None = None) -> dict[str, dict[str, Any]]:
        """Row id → test over datasets, against the reference unless another row is named."""
        tests = self.spec["overall"].get(reference or self.reference, [])
        return {test["row"]: test for test in tests}

    def p_value(self, test: dict[str, Any]) -> float | None:
        """The p-value that the verdict of a test is based on."""
        return test.get(P_KEYS[self.correction])


def warning_of(cell: dict[str, Any]) -> str:
    """The marks of the warnings about a score, as in the tables."""
    leaked, skipped = cell.get("leakage"), cell.get("skipped_steps")
    return LEAKAGE_MARK * bool(leaked) + SKIPPED_MARK * bool(skipped)


def rank_of(row: FigureRow) -> dict[str, Any] | None:
    """The average rank of a row with the warnings about any of its scores; None without one."""
    keys = ("leakage", "skipped_steps")
    warnings = {key: any(cell and cell.get(key) for cell in row["cells"]) for key in keys}
    return row["average_rank"] and {**row["average_rank"], **warnings}


def warning_words(marks: str) -> str:
    """What the marks warn of; empty without any."""
    return "; ".join(f"{mark} {words}" for mark, words in WARNINGS.items() if mark in marks)


def choose_board(
    data: dict[str, Any], board: str | None, has: Callable[[dict[str, Any]], bool], what: str
) -> dict[str, Any]:
    """The board of this id, or the first one that has what a figure shows.

    Args:
        board: id; None for the first.
        has: whether a board has what is needed.
        what: name of what is needed.

    Raises:
        InputError: no such board, or none has what is needed.
    """
    able = [spec["id"] for spec in data["boards"] if has(spec)]
    ids = [spec["id"] for spec in data["boards"]]
    if board is not None and board not in ids:
        raise InputError(f"--board {board}: there is no such board; known: {', '.join(ids)}")
    wanted = board if board is not None else next(iter(able), None)
    if wanted not in able:
        where = f"no board has {what}" if board is None else f"board {board} has no {what}"
        rest = f"; boards that do: {', '.join(able)}" if able else ""
        raise InputError(where + rest)
    return data["boards"][ids.index(wanted)]

"""What the figures need of a ``leaderboard.json``: one board, its rows, columns and tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmark.errors import InputError
from benchmark.files import read_json
from benchmark.text import visible
from leaderboard.data import SCHEMA

FigureRow = dict[str, Any]
#: Correction of the board → key of the p-value its verdicts are about.
P_KEYS = {"holm": "p_holm", "bh": "p_bh", "none": "p"}
P_NAMES = {"holm": "p (Holm)", "bh": "p (Benjamini–Hochberg)", "none": "p, uncorrected"}


def read_board_data(path: str | Path) -> dict[str, Any]:
    """The content of a ``leaderboard.json``.

    Raises:
        InputError: no such file, not JSON, or not what ``tools/leaderboard.py`` writes today.
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
    """One board with its look-ups.

    Attributes:
        spec: the board as it is in the file.
        rows, columns: those that are to be drawn; rows in the order of the file.
        reference: id of the row the others are compared with; None without tests.
        correction: behind the verdicts, a key of `P_KEYS`.
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
        self.rows = self._chosen(spec["rows"], rows, "row")
        self.columns = self._chosen(spec["columns"], columns, "column")
        self._index = {column["id"]: index for index, column in enumerate(spec["columns"])}
        self.reference = self._reference(reference, data["reference"])

    def _chosen(self, all_of: list[FigureRow], ids: Sequence[str], what: str) -> list[FigureRow]:
        """Those of these ids, in the order given; a method stands for its rows. All without ids."""
        if not ids:
            return list(all_of)
        found = []
        for name in ids:
            matching = [one for one in all_of if name in (one["id"], one.get("method"))]
            if not matching:
                known = ", ".join(one["id"] for one in all_of)
                raise InputError(f"{self.spec['id']}: no {what} {name!r}; there are {known}")
            found += [one for one in matching if one not in found]
        return found

    def _reference(self, wanted: str | None, declared: str) -> str | None:
        """The row that is wanted; else that of the board, of the whole file, or the first."""
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
        """Title of a row; published and measured rows of one method are told apart."""
        both = self.spec["origin"] == "both" and row["origin"] == "published"
        title = visible(row["title"])
        return f"{title} (published)" if both else title

    def title_of(self, row_id: str) -> str:
        """`label` of the row of this id; the id where there is none."""
        rows = (row for row in self.spec["rows"] if row["id"] == row_id)
        return next(map(self.label, rows), row_id)

    def cell(self, row: FigureRow, column: FigureRow) -> dict[str, Any] | None:
        return row["cells"][self._index[column["id"]]]

    def ordered(self) -> list[FigureRow]:
        """The rows by average rank; those without one follow by their mean place, then title."""

        def key(row: FigureRow) -> tuple[Any, ...]:
            rank = row["average_rank"]
            # Published rows beside measured ones have no place: 0 stands for that.
            places = [cell["place"] for cell in row["cells"] if cell and cell["place"]]
            mean = sum(places) / len(places) if places else float("inf")
            return (rank is None, rank["mean"] if rank else mean, row["title"], row["id"])

        return sorted(self.rows, key=key)

    def tests(self) -> dict[tuple[str, str], dict[str, Any]]:
        """(row id, column id) → test against the reference."""
        found = self.spec["comparisons"].get(self.reference, [])
        return {(test["row"], test["column"]): test for test in found}

    def overall(self, reference: str | None = None) -> dict[str, dict[str, Any]]:
        """Row id → test over all columns, against the reference unless another row is named."""
        found = self.spec["overall"].get(reference or self.reference, [])
        return {test["row"]: test for test in found}

    def p_value(self, test: dict[str, Any]) -> float | None:
        """The p-value of a test that its verdict is about."""
        return test.get(P_KEYS[self.correction])


def choose_board(
    data: dict[str, Any], board: str | None, has: Callable[[dict[str, Any]], bool], what: str
) -> dict[str, Any]:
    """The board of this id, or the first one that has what a figure shows.

    Args:
        board: id; None for the first.
        has: whether a board has it.
        what: what that is, in words.

    Raises:
        InputError: no such board, or it (or none) has what is asked for.
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


def short(text: str, length: int = 34) -> str:
    """At most `length` characters, the last one an ellipsis where something was cut."""
    text = " ".join(visible(text).split())
    return text if len(text) <= length else text[: length - 1] + "…"


def p_words(p: float | None) -> str:
    """``p < 0.001``, ``p = 0.012``."""
    if p is None:
        return "p not defined"
    if p < 0.001:
        return "p < 0.001"
    text = f"{p:.3f}"
    # Rounding must not carry a value over the level of the tests.
    return f"p = {text}" if (p < 0.05) == (float(text) < 0.05) else f"p = {p:.4f}"


def signed(value: float, digits: int = 2) -> str:
    """With a sign that prints as long as the plus, and none for zero."""
    text = f"{value:+.{digits}f}".replace("-", "−")
    return text[1:] if float(f"{value:.{digits}f}") == 0 else text

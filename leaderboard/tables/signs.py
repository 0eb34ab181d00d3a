"""What the signs in one table mean, for a table that is read without the notes of its board."""

from __future__ import annotations

from leaderboard.comparable import WARNINGS
from leaderboard.evaluations.overview import TITLE as RANKS_TITLE
from leaderboard.statistics import ALPHA
from leaderboard.tables.grids import AVERAGE_RANK, P_HEADERS, TIER_MARK, Grid

_CORRECTED = {
    P_HEADERS["holm"]: "corrected by Holm's method",
    P_HEADERS["bh"]: "corrected by Benjamini and Hochberg's method",
}


def legend(grid: Grid) -> list[str]:
    """The meaning of each sign that a table uses, and of no other, in the order of reading."""
    cells = [entry for row in grid.rows for entry in row]
    numbers = {
        head: [row[index].text for row in grid.rows]
        for index, head in enumerate(grid.header)
        if index >= grid.n_text
    }
    ranked = next((head for head in numbers if head.startswith(AVERAGE_RANK)), "")
    ranks = numbers.pop(ranked, [])
    scores = [text for texts in numbers.values() for text in texts]
    if grid.heading == RANKS_TITLE:
        ranks, scores = scores, []
    heads, suffixes = " ".join(grid.header), "".join(entry.suffix for entry in cells)
    is_test = "Verdict" in numbers
    adjusted = next((head for head in _CORRECTED if head in numbers), "p")
    meanings = {
        "n: number of seeds": "n" in numbers and not is_test,
        "n: number of common seeds": "n" in numbers and is_test,
        "±: sample standard deviation over seeds": _any(scores, "±"),
        "± of average ranks: over columns": _any(ranks, "±"),
        "(a–b): 95 % bootstrap interval over datasets": _any(ranks, "("),
        "bold: best of its column": any(entry.place == 1 for entry in cells),
        "underlined: second best": any(entry.place == 2 for entry in cells),
        "[k]: rank in the column among the complete rows, ties share the better": "[" in suffixes,
        f"{TIER_MARK}: not separable from the best of its column (paired t-test, Holm's "
        f"correction, p ≥ {ALPHA})": TIER_MARK in suffixes,
        **{f"{mark}: {words}": mark in suffixes for mark, words in WARNINGS.items()},
        "↑: higher is better": "↑" in heads,
        "↓: lower is better": "↓" in heads,
        "[a, b]: interval from a to b": _any(scores, "["),
        **{f"{head}: {words}": head == adjusted for head, words in _CORRECTED.items()},
        f"better, worse: {adjusted} < {ALPHA}": is_test
        and bool({"better", "worse"} & set(numbers["Verdict"])),
        "—: none, or not defined": any(entry.text == "—" for entry in cells),
        "empty: no result": any(not entry.text for entry in cells),
    }
    return [meaning for meaning, used in meanings.items() if used]


def _any(texts: list[str], sign: str) -> bool:
    return any(sign in text for text in texts)

"""Where the tests find what they look at on a page."""

from __future__ import annotations

from typing import Any


def names_of(page: Any, board: str = "segmentation") -> list[str]:
    """The methods of the visible rows."""
    return page.locator(f"#{board}-table tbody tr:visible .name").all_text_contents()


def cell(page: Any, row: str, column: int) -> Any:
    """Cell of a measured row, found by its exact name."""
    index = page.locator("#segmentation-table tbody .name").all_text_contents().index(row)
    return page.locator("#segmentation-table tbody tr").nth(index).locator("td").nth(3 + column)


def by_id(board: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The rows of a board by their ids."""
    return {row["id"]: row for row in board["rows"]}

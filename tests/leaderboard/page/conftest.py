"""A headless Chromium that reports everything that goes wrong on a page.

Tests that need it are marked `page`. Without a browser they are skipped, unless they were asked for
by name (``-m page``): then a missing browser is an error.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from example_board import PICTURES, example_board

from leaderboard.build import build_leaderboard
from leaderboard.data import board_data
from leaderboard.page import render


@pytest.fixture(scope="session")
def example(make_run: Callable[..., Any]) -> dict[str, Any]:
    """Thirty methods in six columns."""
    return example_board(make_run, n_datasets=3)


@pytest.fixture(scope="session")
def large_example(make_run: Callable[..., Any]) -> dict[str, Any]:
    """Thirty methods in twenty columns."""
    return example_board(make_run)


@pytest.fixture(scope="session")
def evaluated(make_evaluations: Callable[..., Any]) -> dict[str, Any]:
    """A board of every evaluation."""
    return board_data(build_leaderboard(make_evaluations(), "mae", "journal"))


@pytest.fixture(scope="session")
def browser(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Debian's Chromium where there is one, else the one Playwright installed."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        path = shutil.which("chromium")
        try:
            chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except sync_api.Error as error:
            if request.config.option.markexpr == "page":
                raise
            pytest.skip(f"no browser: {str(error).splitlines()[0]}")
        yield chromium
        chromium.close()


class Visitor:
    """Opens pages in one browser window and keeps what went wrong and what was asked for."""

    def __init__(self, browser: Any, folder: Path, options: dict[str, Any]) -> None:
        self.folder = folder
        self.page = browser.new_context(**options).new_page()
        self.page.set_default_timeout(10_000)
        self.requests: list[str] = []
        self.faults: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("requestfailed", lambda request: self.faults.append(request.url))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", self._refuse)
        self.page.on("console", self._listen)

    def _refuse(self, dialog: Any) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _listen(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(message.text)

    def open(self, data: dict[str, Any], view: str = "") -> Any:
        """Write the page as a file, as users have it, and open it at a view (``"sort=title"``)."""
        return self.open_html(render(data, PICTURES), view)

    def open_html(self, html: str, view: str = "") -> Any:
        path = self.folder / "index.html"
        path.write_text(html, encoding="utf-8")
        self.page.goto(f"{path.as_uri()}#{view}")
        return self.page


@pytest.fixture
def visit(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Visitor]]:
    """Make a visitor; when the test ends, none of its pages may have complained."""
    visitors: list[Visitor] = []

    def make(width: int = 1440, **options: Any) -> Visitor:
        size = {"width": width, "height": 900 if width > 500 else 844}
        folder = tmp_path / str(len(visitors))
        folder.mkdir()
        options = {"viewport": size, "color_scheme": "light", "reduced_motion": "reduce", **options}
        visitors.append(Visitor(browser, folder, options))
        return visitors[-1]

    yield make
    for visitor in visitors:
        visitor.page.context.close()
    assert [fault for visitor in visitors for fault in visitor.faults] == []

"""The board as one self-contained HTML file: no network, no server, no build step.

The templates, the styles and the scripts beside this module are inlined unchanged. The results
are embedded as JSON in a block that browsers do not execute, and the scripts put them on the page
as text only. A content security policy allows exactly these scripts and styles, by their hash, and
``data:`` images; everything else, including a script injected through a name, is refused.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.errors import InputError
from leaderboard.page.palette import page_style

#: Version of the layout of ``leaderboard.json``.
SCHEMA = 1

#: In the order of execution: a script uses only what comes before it.
STYLES = ("page.css", "diagrams.css", "print.css")
SCRIPTS = (
    "dom.js",
    "scroll.js",
    "state.js",
    "board.js",
    "details.js",
    "facts.js",
    "toolbar.js",
    "table.js",
    "charts.js",
    "significance.js",
    "curves.js",
    "dots.js",
    "costs.js",
    "pareto.js",
    "overview.js",
    "masks.js",
    "viewer.js",
    "print.js",
    "main.js",
)

_FOLDER = Path(__file__).parent


def render(data: dict[str, Any]) -> str:
    """The page of `leaderboard.data.board_data`, a pure function of it: equal data, equal bytes.

    Args:
        data: boards, curves, runs and gallery; numbers at full precision, None where undefined,
            pictures as ``data:`` URLs. Sections without content (gallery, curves, comparisons) are
            omitted from the page.

    Raises:
        InputError: a schema other than `SCHEMA`, or a number that is not finite.
    """
    if data.get("schema") != SCHEMA:
        raise InputError(
            f"schema: the page shows board data of schema {SCHEMA}, not {data.get('schema')!r}; "
            "regenerate it with tools/leaderboard.py"
        )
    scripts = [_source(name) for name in SCRIPTS]
    elements = "\n".join(f"<script>{script}</script>" for script in scripts)
    body = _fill("board.html", data=_json(data), scripts=elements)
    return _document(str(data.get("title", "Leaderboard")), body, STYLES, scripts)


def static_document(title: str, body: str) -> str:
    """A page in the same style without scripts.

    Args:
        body: HTML, with all texts escaped.
    """
    return _document(title, body, ("page.css", "print.css"), [])


def _document(title: str, body: str, styles: Sequence[str], scripts: list[str]) -> str:
    style = "\n".join([page_style(), *map(_source, styles)])
    return _fill(
        "template.html",
        policy=_policy(style, scripts),
        title=html.escape(title),
        style=f"<style>{style}</style>",
        body=body,
    )


def _fill(name: str, **parts: str) -> str:
    """A template with its parts; what is filled in is not searched for markers."""
    pieces = _source(name).split("@@")
    # Odd pieces are the names between the markers.
    pieces[1::2] = [parts[name] for name in pieces[1::2]]
    return "".join(pieces)


def _source(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _policy(style: str, scripts: list[str]) -> str:
    """The content security policy: these scripts, this style, and embedded images."""

    def source(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    return "; ".join(
        (
            "default-src 'none'",
            "img-src data:",
            f"style-src {source(style)}",
            *([f"script-src {' '.join(map(source, scripts))}"] if scripts else []),
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _json(data: dict[str, Any]) -> str:
    """Strict JSON that cannot end its script block, in ASCII (so without U+2028 and U+2029)."""
    boards = [{**board, "comparisons": _packed(board["comparisons"])} for board in data["boards"]]
    try:
        text = json.dumps(
            {**data, "boards": boards}, allow_nan=False, separators=(",", ":"), sort_keys=True
        )
    except ValueError as error:
        raise InputError(f"board data: {error}; write null for undefined values") from None
    for character in "&<>":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _packed(comparisons: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, list]]:
    """Field names once and not in every entry, where they are more than half of the size."""
    return {
        reference: {
            "fields": (fields := sorted({field for entry in entries for field in entry})),
            "entries": [[entry.get(field) for field in fields] for entry in entries],
        }
        for reference, entries in comparisons.items()
    }

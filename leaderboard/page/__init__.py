"""The board as one self-contained HTML file: no network, no server, no build step.

The templates beside this module, and the styles and scripts below it, are inlined unchanged. The
results are embedded as JSON in blocks that browsers do not execute, and the scripts put them on the
page as text only. Runs and pictures have blocks of their own behind the scripts, parsed when they
are needed. A content security policy allows exactly these scripts and styles, by their hash, and
``data:`` images (and files, where the pictures lie beside the page); everything else, including a
script injected through a name, is refused.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.errors import InputError
from leaderboard.comparable import LEAKAGE, WARNINGS
from leaderboard.page.embedding import Entry, choose_entries, embedded, omission, pack_runs
from leaderboard.page.palette import page_style
from leaderboard.tables.latex_text import CHARACTERS

#: Version of the layout of ``leaderboard.json``.
SCHEMA = 1
#: Bytes up to which a page embeds pictures, unless another limit is given.
LIMIT = 8_000_000

#: In the order of execution: a script uses only what comes before it.
STYLES = ("styles/page.css", "styles/diagrams.css", "styles/print.css")
SCRIPTS = (
    "common/dom.js",
    "common/scroll.js",
    "common/state.js",
    "common/board.js",
    "table/legend.js",
    "table/sources.js",
    "table/details.js",
    "table/facts.js",
    "table/columns.js",
    "table/pins.js",
    "table/toolbar.js",
    "table/table.js",
    "table/export.js",
    "plots/charts.js",
    "plots/significance.js",
    "plots/curves.js",
    "plots/dots.js",
    "plots/costs.js",
    "plots/pareto.js",
    "plots/overview.js",
    "viewer/pictures.js",
    "viewer/masks.js",
    "viewer/viewer.js",
    "common/print.js",
    "common/main.js",
)

_FOLDER = Path(__file__).parent


class Page(NamedTuple):
    """A page, and the entries of the gallery whose pictures it has no room for."""

    text: str
    omitted: list[Entry]


def render(
    data: dict[str, Any], pictures: Mapping[str, bytes] | None = None, limit: float = LIMIT
) -> str:
    """The text of `make_page`."""
    return make_page(data, pictures, limit).text


def make_page(
    data: dict[str, Any], pictures: Mapping[str, bytes] | None = None, limit: float = LIMIT
) -> Page:
    """The page of `leaderboard.data.board_data`, a pure function of it: equal data, equal bytes.

    Args:
        data: boards, curves, runs and gallery; numbers at full precision, None where undefined.
            Sections without content (gallery, curves, comparisons) are omitted from the page.
        pictures: name → file of the pictures of the gallery, to be embedded where
            ``data["pictures"]`` names no folder beside the page that holds them. Without them the
            page shows no examples.
        limit: bytes of the page up to which pictures are embedded, whole entries at a time.

    Raises:
        InputError: a schema other than `SCHEMA`, or a number that is not finite.
    """
    if data.get("schema") != SCHEMA:
        raise InputError(
            f"schema: the page shows board data of schema {SCHEMA}, not {data.get('schema')!r}; "
            "regenerate it with tools/leaderboard.py"
        )
    gallery, runs = data.get("gallery", []), data.get("runs", {})
    beside = data.get("pictures") is not None
    shown = {key: value for key, value in data.items() if key not in ("gallery", "runs")}
    boards = [{**board, "comparisons": _packed(board["comparisons"])} for board in data["boards"]]
    scripts = [_source(name) for name in SCRIPTS]
    # As pairs: keys of an object would be sorted.
    words = {"warnings": [*WARNINGS.items()], "leakage_counts": [*LEAKAGE.items()]}
    about = {"n_runs": len(runs), "latex": CHARACTERS, **words}
    blocks = {
        "data": _json({**shown, "boards": boards, **about}),
        "scripts": "\n".join(f"<script>{script}</script>" for script in scripts),
        "runs": _json(pack_runs(runs)),
    }

    def filled(entries: Sequence[Entry], files: dict[str, str], note: str = "") -> str:
        shown = _json({"entries": entries, "note": note})
        body = _fill("board.html", **blocks, gallery=shown, pictures=_json(files))
        return _document(str(data.get("title", "Leaderboard")), body, STYLES, scripts, beside)

    if beside or not pictures:
        return Page(filled(gallery if beside else [], {}), [])
    longest = omission(gallery, gallery, limit, named=True)
    kept = choose_entries(gallery, pictures, int(limit) - len(filled([], {}, longest)))
    omitted = [entry for entry in gallery if entry not in kept]
    note = omission(omitted, gallery, limit, named=True)
    return Page(filled(kept, embedded(kept, pictures), note), omitted)


def static_document(title: str, body: str) -> str:
    """A page in the same style without scripts.

    Args:
        body: HTML, with all texts escaped.
    """
    return _document(title, body, ("styles/page.css", "styles/print.css"), [])


def _document(
    title: str, body: str, styles: Sequence[str], scripts: list[str], beside: bool = False
) -> str:
    style = "\n".join([page_style(), *map(_source, styles)])
    return _fill(
        "template.html",
        policy=_policy(style, scripts, beside),
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


def _policy(style: str, scripts: list[str], beside: bool) -> str:
    """The content security policy: these scripts, this style, embedded images and those beside."""

    def source(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    return "; ".join(
        (
            "default-src 'none'",
            # Not every browser takes other files for `'self'` where the page is a file itself.
            "img-src data: 'self' file:" if beside else "img-src data:",
            f"style-src {source(style)}",
            *([f"script-src {' '.join(map(source, scripts))}"] if scripts else []),
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _json(data: dict[str, Any]) -> str:
    """Strict JSON that cannot end its script block, in ASCII (so without U+2028 and U+2029)."""
    try:
        text = json.dumps(data, allow_nan=False, separators=(",", ":"), sort_keys=True)
    except ValueError as error:
        raise InputError(f"board data: {error}; write null for undefined values") from None
    for character in "&<>":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _packed(comparisons: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, list]]:
    """Field names once and not in every entry, where they are more than half of the size."""
    packed = {}
    for reference, entries in comparisons.items():
        empty = dict.fromkeys(sorted(set().union(*entries)))
        # In the order of `empty`.
        values = [list({**empty, **entry}.values()) for entry in entries]
        packed[reference] = {"fields": list(empty), "entries": values}
    return packed

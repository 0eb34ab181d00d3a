from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from example_board import PICTURES

import leaderboard.page as module
from benchmark.errors import InputError
from leaderboard.comparable import LEAKAGE, WARNINGS
from leaderboard.page import SCRIPTS, STYLES, make_page, render
from leaderboard.tables.latex_text import CHARACTERS

FOLDER = Path(module.__file__).parent
EMPTY = {"schema": 1, "title": "T", "protocol": "p", "reference": "r", "boards": [], "runs": {}}


class Parts(HTMLParser):
    """What a browser sees: the elements with their attributes, scripts and styles with text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {"script": [], "style": [], "title": []}
        self.open: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in self.texts:
            self.open = tag
            self.texts[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == self.open:
            self.open = None

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts[self.open][-1] += data


def data_block(page: str, name: str = "data") -> str:
    return re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.S)[1]


BLOCKS = ("data", "gallery", "runs", "pictures")


def test_equal_data_give_equal_bytes(example):
    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: turned(value[key]) for key in reversed(value)}
        return [turned(item) for item in value] if isinstance(value, list) else value

    assert render(example) == render(turned(copy.deepcopy(example)))


def test_data_arrive_at_full_precision(example):
    """Everything comes back as it was; comparisons are packed into fields and entries."""
    before = copy.deepcopy(example)
    page = render(example, PICTURES)
    found, gallery, _, pictures = (json.loads(data_block(page, name)) for name in BLOCKS)
    assert found.pop("n_runs") == len(example["runs"])
    assert found.pop("latex") == CHARACTERS
    words = (dict(found.pop(name)) for name in ("warnings", "leakage_counts"))
    assert tuple(words) == (WARNINGS, LEAKAGE)
    found |= {"gallery": gallery["entries"], "runs": example["runs"]}
    assert {name: base64.b64decode(text) for name, text in pictures.items()}.items() <= (
        PICTURES.items()
    )
    assert example == before
    for board in found["boards"]:
        board["comparisons"] = {
            reference: [dict(zip(packed["fields"], entry)) for entry in packed["entries"]]
            for reference, packed in board["comparisons"].items()
        }
    assert found == example


def test_no_name_ends_the_data_block_or_starts_a_script(example):
    page = render(example, PICTURES)
    for block in (data_block(page, name) for name in BLOCKS):
        assert block.isascii()
        assert not set("<>&\u2028\u2029") & set(block)
    # The blocks of data and the page's own scripts: the names planted none.
    assert len(Parts(page).texts["script"]) == len(BLOCKS) + len(SCRIPTS)


@pytest.mark.parametrize("title", ["</title><script>x()</script>", "@@data@@", "a & b"])
def test_title_is_text(title):
    assert Parts(render({**EMPTY, "title": title})).texts["title"] == [title]


@pytest.mark.parametrize("folder", [None, "pictures"])
def test_policy_allows_exactly_what_the_page_holds(example, folder):
    parts = Parts(render({**example, "pictures": folder}))
    policy = next(a["content"] for tag, a in parts.elements if tag == "meta" and "http-equiv" in a)
    rules = {name: sources for name, *sources in map(str.split, policy.split("; "))}

    def hashes(texts: list[str]) -> list[str]:
        digests = [hashlib.sha256(text.encode()).digest() for text in texts]
        return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]

    scripts = [text for text in parts.texts["script"] if not text.startswith("{")]
    assert rules == {
        "default-src": ["'none'"],
        "img-src": ["data:"] if folder is None else ["data:", "'self'", "file:"],
        "style-src": hashes(parts.texts["style"]),
        "script-src": hashes(scripts),
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
    }


def test_page_names_nothing_outside_itself(example):
    parts = Parts(render(example))
    addresses = [a[key] for _, a in parts.elements for key in ("src", "href") if key in a]
    assert sorted(addresses) == ["#results", "data:,"]
    assert "url(" not in parts.texts["style"][0]
    assert "@import" not in parts.texts["style"][0]


def named(suffix: str) -> set[str]:
    return {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob(f"*.{suffix}")}


def test_scripts_make_no_markup_from_text():
    assert named("js") == set(SCRIPTS)
    assert named("css") == set(STYLES)
    forbidden = re.compile(r"(inner|outer)HTML|insertAdjacent|document\.write|\beval\(|Function\(")
    assert [name for name in SCRIPTS if forbidden.search((FOLDER / name).read_text())] == []


def test_sources_stay_readable():
    sizes = {n: len((FOLDER / n).read_text().splitlines()) for n in (*SCRIPTS, *STYLES)}
    folders = Counter(name.partition("/")[0] for name in sizes)
    assert max(folders.values()) <= 15
    assert {name: size for name, size in sizes.items() if size > 380} == {}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_refused(value):
    with pytest.raises(InputError, match="null"):
        render({**EMPTY, "runs": {"r": {"metrics": {"dsc": value}}}})


@pytest.mark.parametrize("schema", [None, 2])
def test_another_schema_is_refused_by_its_number(schema):
    with pytest.raises(InputError, match=f"schema 1, not {schema}"):
        render({**EMPTY, "schema": schema})


def test_rendering_needs_neither_torch_nor_pandas():
    code = (
        "import sys, leaderboard.page as page;"
        f"page.render({EMPTY!r});"
        "print(sorted({'torch', 'pandas', 'scipy', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_a_page_embeds_what_fits_first_images_first(example):
    """Never larger than the limit; a picture of several entries counts once."""
    bare = len(render(example))
    complete = make_page(example, PICTURES)
    assert complete.omitted == []
    sizes = []
    for limit in range(bare, len(complete.text) + 400, 6000):
        page = make_page(example, PICTURES, limit)
        kept = json.loads(data_block(page.text, "gallery"))["entries"]
        assert len(page.text) <= limit or not kept
        assert len(kept) + len(page.omitted) == len(example["gallery"])
        counts = [sum(e["dataset"] == name for e in kept) for name in ("arcade_v", "caxf")]
        assert counts[0] - counts[1] in (0, 1)
        sizes.append(len(kept))
    assert sizes == sorted(sizes)
    assert set(sizes) >= {0, 1, 4, 7}


def test_what_a_page_omits_is_named(example):
    page = make_page(example, PICTURES, 0)
    note = json.loads(data_block(page.text, "gallery"))["note"]
    assert note.startswith("8 of 8 example images are not embedded, as the page would pass 0 MB")
    assert all(entry["image"] in note for entry in example["gallery"])

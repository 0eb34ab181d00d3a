"""Every fault of a file is one line that names the file and the key."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, ClassVar

import pytest
from pydantic import Field

from benchmark.errors import InputError
from benchmark.schemas import (
    LISTS_AS_TUPLES,
    Amount,
    Count,
    Schema,
    Text,
    read_validated,
    validate,
    version_type,
)


class Part(Schema):
    value: Annotated[float, Field(ge=0, le=100)]
    headline: bool = True


class File(Schema):
    remedy: ClassVar[str] = "make it again"

    schema_version: version_type(1) = Field(1, alias="schema")
    title: Text
    parts: dict[str, Part]
    count: Count
    amount: Amount | None = None
    sides: Annotated[tuple[int, ...], LISTS_AS_TUPLES] = ()


GOOD = {"schema": 1, "title": "a", "parts": {"x": {"value": 3}}, "count": 1}


def test_valid_content():
    found = validate(File, {**GOOD, "sides": [1, 2], "amount": 10**99}, "f.json")
    assert found.parts["x"].value == 3
    assert found.sides == (1, 2)
    assert found.model_dump()["schema"] == 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"schema": 2, "title": 3}, "key 'schema' must be 1, found 2"),
        ({"schema": True}, "key 'schema' must be 1, found True"),
        ({"schema": 1.0}, "key 'schema' must be 1, found 1.0"),
        ({"title": ""}, "key 'title' must have at least 1 character, found ''"),
        ({"title": " \t"}, "key 'title' must not be blank, found ' \\t'"),
        ({"title": None}, "key 'title' must be a valid string, found None"),
        ({"count": True}, "key 'count' must be a valid integer, found True"),
        ({"count": 1.0}, "key 'count' must be a valid integer, found 1.0"),
        ({"count": -1}, "key 'count' must be greater than or equal to 0, found -1"),
        ({"amount": True}, "key 'amount' must be a valid number, found True"),
        ({"amount": "1"}, "key 'amount' must be a valid number, found '1'"),
        ({"amount": float("nan")}, "key 'amount' must be a finite number, found nan"),
        ({"amount": float("inf")}, "key 'amount' must be a finite number, found inf"),
        ({"parts": []}, "key 'parts' must be an object, found []"),
        ({"parts": {"x": 1}}, "key 'parts.x' must be an object, found 1"),
        ({"parts": {"x": {}}}, "key 'parts.x.value' is missing"),
        ({"parts": {"x": {"value": 1, "valeu": 2}}}, "unknown key 'parts.x.valeu'"),
        ({"sides": {1}}, "key 'sides' must be a valid tuple, found {1}"),
        ({"tilte": "a"}, "unknown key 'tilte'; did you mean 'title'?"),
        ({"count": "1", "a\nb": 0}, "unknown key 'a\\nb' (and 1 more error)"),
    ],
)
def test_error_names_file_key_and_expectation(changes, expected):
    with pytest.raises(InputError) as caught:
        validate(File, {**GOOD, **changes}, "f.json")
    assert str(caught.value) == f"f.json: {expected}; make it again"


@pytest.mark.parametrize("length", [1001, 10**6])
def test_long_texts_and_keys_are_refused_in_a_short_line(length):
    for changes in ({"title": "x" * length}, {"x" * length: 1}):
        with pytest.raises(InputError) as caught:
            validate(File, {**GOOD, **changes}, "f.json")
        assert len(str(caught.value)) < 300


def test_half_a_surrogate_pair_is_refused():
    with pytest.raises(InputError, match="key 'title' must be a valid string"):
        validate(File, {**GOOD, "title": "a\ud800"}, "f.json")


@pytest.mark.parametrize("content", [None, 3, [], "a"])
def test_content_that_is_no_object(content):
    with pytest.raises(InputError, match=r"^f\.json: must hold a JSON object; make it again$"):
        validate(File, content, "f.json")


def test_a_file_holds_every_key(tmp_path):
    """A writer writes all keys, so that one with a default is not missing by design."""
    path = tmp_path / "f.json"
    path.write_text(json.dumps(GOOD), encoding="utf-8")
    with pytest.raises(InputError, match="key 'amount' is missing; make it again"):
        read_validated(path, File)
    whole = validate(File, GOOD, path)
    path.write_text(json.dumps({**whole.model_dump(), "sides": [4]}), encoding="utf-8")
    assert read_validated(path, File).sides == (4,)


def test_command_lines_start_without_pydantic():
    tools = Path(__file__).resolve().parents[2] / "tools"
    code = (
        "import contextlib, io, runpy, sys\n"
        f"sys.path.insert(0, {str(tools)!r})\n"
        "for tool in ('leaderboard', 'results', 'list', 'matrix', 'show', 'finetune'):\n"
        "    sys.argv = [tool, '--help']\n"
        "    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        f"        runpy.run_path(f'{tools}/{{tool}}.py', run_name='__main__')\n"
        "    print(tool, 'pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count("False") == 6, done.stdout

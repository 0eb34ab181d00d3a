"""JSON is read in one way or not at all."""

from __future__ import annotations

import json
import math
import sys

import pytest

from benchmark.errors import InputError
from benchmark.files.strict_json import MAX_DEPTH, MAX_DIGITS, parse_json


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        '"a"',
        "0",
        "-1.5e-300",
        " \n[1, 2.5, null, true] \r\n",
        '{"a": {"b": [1, {"c": "\\u00e9\\n\\ud83d\\ude00"}]}, "A": "é😀"}',
        '"a text that says \\\\ud800"',
        nested(MAX_DEPTH),
        "9" * MAX_DIGITS,
        "[" + "[], " * 500 + "[]]",
    ],
)
def test_what_is_good_is_what_the_standard_library_reads(text):
    assert parse_json(text, "f") == parse_json(text.encode(), "f") == json.loads(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        ("[1] 2", "Extra data"),
        ('{"a": 1, "b": {"seed": 0, "seed": 1}}', "key 'seed' is there twice"),
        ('{"a": 1, "\\u0061": 1}', "key 'a' is there twice"),
        ('{"a": [NaN]}', "NaN is not JSON"),
        ('{"a": {"b": -Infinity}}', "-Infinity is not JSON"),
        ("[1e999]", "1e999 is beyond float64"),
        ("[-1" + "0" * 50 + "e300]", "beyond float64"),
        ("9" * 5000, "a number of 5000 digits"),
        ("[0." + "1" * 5000 + "]", "a number of 5002 digits"),
        (nested(MAX_DEPTH + 1), f"nested deeper than {MAX_DEPTH} levels"),
        (nested(5000), f"nested deeper than {MAX_DEPTH} levels"),
        (nested(100_000), f"nested deeper than {MAX_DEPTH} levels"),
        ('{"a":' * 100_000, f"nested deeper than {MAX_DEPTH} levels"),
        ('["\\ud800"]', "half a surrogate pair"),
        ('{"\\uDfFf": 1}', "half a surrogate pair"),
        ('"\\ude00\\ud83d"', "half a surrogate pair"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        ("\ufeff{}", "byte order mark"),
        (b"\xff\xfe{\0}\0", "'utf-8' codec can't decode"),
        (b'"\xed\xa0\x80"', "'utf-8' codec can't decode"),
        (b'"\0"', "Invalid control character"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(text, reason):
    with pytest.raises(InputError) as caught:
        parse_json(text, "results/seed0.json")
    line = str(caught.value)
    assert line.startswith("results/seed0.json: not a JSON file (")
    assert reason in line
    assert len(line) < 250


def test_numbers_that_are_not_finite_are_read_where_they_are_asked_for():
    found = parse_json("[NaN, -Infinity, 1e999, 2]", "f", finite=False)
    assert math.isnan(found[0])
    assert found[1:] == [-math.inf, math.inf, 2]
    with pytest.raises(InputError, match="twice"):
        parse_json('{"a": NaN, "a": 1}', "f", finite=False)


def test_long_numbers_are_refused_whatever_python_allows():
    """Python's own limit can be switched off, and does not exist in its first releases of 3.10."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        with pytest.raises(InputError, match="a number of 1000000 digits"):
            parse_json("1" * 1_000_000, "f")
    finally:
        sys.set_int_max_str_digits(before)

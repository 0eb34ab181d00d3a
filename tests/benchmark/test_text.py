"""What others wrote is shown, not obeyed."""

from __future__ import annotations

import os
import unicodedata

import pytest

from benchmark.errors import InputError
from benchmark.text import csv_text, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("MAE (ours), γ = ½ — “a|b”", "MAE (ours), γ = ½ — “a|b”"),
        ("a\u00a0b\u3000c", "a\u00a0b\u3000c"),
        ("क\u094dष 👩\u200d🔬 نمی\u200cخواهم", "क\u094dष 👩\u200d🔬 نمی\u200cخواهم"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[31mred\x07\x00", r"\x1b[31mred\x07\x00"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),
        ("VasoMIM\u202e3.99", r"VasoMIM\u202e3.99"),
        ("\u2066a\u2069\u200f\u061c", r"\u2066a\u2069\u200f\u061c"),
        ("a\u2028b\u200bc\ufeff\xad", r"a\u2028b\u200bc\ufeff\xad"),
        ("\U000e0041", r"\U000e0041"),
        (os.fsdecode(b"seed\xff.json"), r"seed\xff.json"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_a_screen_obeys_or_hides_is_escaped(text, shown):
    assert visible(text) == shown
    assert visible(shown) == shown
    shown.encode()


def test_no_control_character_and_no_mark_of_direction_is_left():
    every = "".join(map(chr, range(0x110000)))
    left = visible(every)
    assert not {unicodedata.category(c) for c in left} & {"Cc", "Cs", "Zl", "Zp"}
    turning = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    assert not {unicodedata.bidirectional(c) for c in left} & turning
    assert len(left.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1", "'+1"),
        ("-cmd|' /C calc'!A0", "'-cmd|' /C calc'!A0"),
        ("@SUM(1)", "'@SUM(1)"),
        ("  =1", "'  =1"),
        ("\u00a0=1", "'\u00a0=1"),
        ("\uff1d1", "'\uff1d1"),
        ("\t=1", r"\t=1"),
        ("\r=1", r"\r=1"),
        ("\n=1", r"\n=1"),
        ("MAE", "MAE"),
        ("— (none)", "— (none)"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_no_cell_is_a_formula(text, cell):
    assert csv_text(text) == cell


def test_messages_of_errors_are_one_visible_line():
    assert str(InputError("a\nb\x1b[2J: no such file")) == r"a\nb\x1b[2J: no such file"
    assert f"{InputError('x')}" == "x"

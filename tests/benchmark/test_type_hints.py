"""Hints: which values fit, by hand, and that those of our own classes tell the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol

import pytest
from torch import nn

from benchmark.type_hints import (
    Count,
    Items,
    Natural,
    Positive,
    Range,
    Seed,
    Share,
    fits,
    hints_of,
    meaning,
)

Momentum = Protocol


@pytest.mark.parametrize(
    ("hint", "good", "bad"),
    [
        (int, [0, -3, 10**30], [1.0, True, "1", None, [1]]),
        (float, [0, 2, -0.5, float("inf")], [False, "0.5", None, (0.5,)]),
        (bool, [True, False], [0, 1, "True", None]),
        (str, ["", "a"], [1, None, ["a"], b"a"]),
        (Count, [1, 10**30], [0, -1, 1.0, True, "1", None]),
        (Natural, [0, 1], [-1, 0.5, False]),
        (Seed, [0, 2**32 - 1], [-1, 2**32, 0.0]),
        (Positive, [1e-300, 3], [0, -1.0, float("inf"), float("nan"), "1"]),
        (Share, [1e-9, 0.5, 1], [0, 1.0001, -0.5, float("nan")]),
        (Annotated[Sequence[str], Items(least=1)], [["a"], ("a", "b")], [[], (), "a", [1]]),
        (Count | None, [3, None], [0, "None"]),
        (bool | Literal["auto"], [True, "auto"], ["automatic", 1]),
        (Literal[0], [0], [False, 0.0]),
        (Sequence[int], [[1, 2], (1,), ()], ["12", [1.5], 3, {1: 2}]),
        (tuple[float, float], [(1, 2.5), [0, 1]], [(1,), (1, 2, 3), ("1", 2), 1.0]),
        (tuple[Count, ...], [(1, 2), []], [(1, 0), 1]),
        (list, [[], (1, "a")], ["ab", None]),
        (dict, [{}, {"type": int}], [[], "a", None]),
        (Mapping[str, int], [{"a": 1}], [{1: 1}, {"a": "b"}]),
        (nn.Module | dict[str, Any], [nn.Identity(), {"type": nn.Identity}], ["Identity", 3, None]),
        (Any, [3, None, "a"], []),
        (object, [3, None, "a"], []),
        (Momentum, [0.5, "a"], []),
        (Annotated[float, "metres"], [1.5], ["1.5"]),
    ],
)
def test_what_fits(hint, good, bad):
    assert [value for value in good if not fits(value, hint)] == []
    assert [value for value in bad if fits(value, hint)] == []


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (Count, "an integer of 1 or more"),
        (Seed, "an integer from 0 to 4294967295"),
        (Positive, "a number above 0"),
        (Share, "a number above 0 and at most 1"),
        (Natural | None, "an integer of 0 or more or None"),
        (bool | Literal["auto"], "True or False or 'auto'"),
        (tuple[int, int], "2 integers"),
        (Sequence[Positive], "a list of numbers above 0"),
        (Mapping[str, tuple[str, ...]], "a dictionary of lists"),
        (dict[Literal["a", "b"], bool], "a dictionary of values for 'a' or 'b'"),
        (dict, "a dictionary"),
        (list | None, "a list or None"),
        (nn.Module | str, "a Module or a text"),
        (Annotated[float, Range(most=3)], "a number of at most 3"),
    ],
)
def test_what_is_wanted_in_words(hint, text):
    assert meaning(hint) == text


def test_hints_of_a_class_and_of_a_function():
    """Those of strings, as this module has them; of names that are not there, none."""

    class Hidden:
        def __init__(self, width: int, other: Nowhere) -> None:  # noqa: F821
            pass

    def build(width: Count, *, rate: float = 0.5) -> None:
        pass

    assert hints_of(build) == {"width": Count, "rate": float}
    assert hints_of(Hidden) == {}
    assert hints_of(nn.Linear)["in_features"] is int

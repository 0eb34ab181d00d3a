"""Goals, and the verdict as JSON and Markdown."""

from __future__ import annotations

import json
import math

import pytest

from benchmark.acceptance.findings import (
    Outcome,
    as_json,
    as_markdown,
    at_least,
    at_most,
    fact,
    holds,
)


@pytest.mark.parametrize(
    ("finding", "reached"),
    [
        (at_most("a", 1.0, 1.0), True),
        (at_most("a", 1.001, 1.0), False),
        (at_least("a", 0.97, 0.97), True),
        (at_least("a", 0.96, 0.97), False),
        (at_most("a", math.nan, 1.0), False),
        (at_least("a", math.nan, 1.0), False),
        (at_least("a", math.inf, 1.0), True),
        (holds("a", False, "3"), False),
        (fact("a", 3), True),
    ],
)
def test_a_goal_is_reached_or_missed(finding, reached):
    assert finding.reached is reached
    json.dumps(finding.value, allow_nan=False)


def test_the_verdict_names_every_part_and_value():
    good = Outcome("one", "Part one", "passed", 3.2, "", (at_most("error", 0.5, 1),))
    out = Outcome("two", "Part two", "skipped", 0, "needs two GPUs", ())
    bad = Outcome("three", "Part | three", "failed", 1, "", (at_least("rate", 2.0, 3),))
    late = Outcome("four", "Part four", "timed out", 9, "", ())
    machine = {"device": "cpu", "commit": "abc"}
    assert as_json(machine, [good, out])["passed"] is True
    assert as_json(machine, [good, bad])["passed"] is False
    assert as_json(machine, [good, late])["passed"] is False
    assert as_markdown(machine, [good, out, bad]).splitlines()[2:] == [
        "- device: cpu",
        "- commit: abc",
        "",
        "| part | verdict | s | |",
        "| --- | --- | --: | --- |",
        "| Part one | passed | 3 |  |",
        "| Part two | skipped | 0 | needs two GPUs |",
        "| Part / three | failed | 1 |  |",
        "",
        "| part | measured | value | goal | reached |",
        "| --- | --- | --: | --- | --- |",
        "| one | error | 0.5 | at most 1 | yes |",
        "| three | rate | 2 | at least 3 | **no** |",
    ]

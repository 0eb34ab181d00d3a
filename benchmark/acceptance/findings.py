"""What a part of the acceptance run found, and the verdict as JSON and Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """One measured value.

    Attributes:
        what: what was measured, with its unit.
        value: the number, or words.
        goal: what was asked for, such as ``"at most 0.001"``; empty for a fact without a goal.
        reached: whether the goal was reached; True without a goal.
    """

    what: str
    value: float | str
    goal: str = ""
    reached: bool = True


def fact(what: str, value: float | str) -> Finding:
    return Finding(what, value)


def at_most(what: str, value: float, limit: float) -> Finding:
    """A value that is not a number misses its goal."""
    return Finding(what, _finite(value), f"at most {limit:g}", value <= limit)


def at_least(what: str, value: float, limit: float) -> Finding:
    return Finding(what, _finite(value), f"at least {limit:g}", value >= limit)


def holds(what: str, reached: bool, found: str = "") -> Finding:
    """A condition that holds or does not."""
    return Finding(what, found or ("yes" if reached else "no"), "yes", reached)


def _finite(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)  # JSON knows neither NaN nor infinity


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one part ended.

    Attributes:
        name, title: of the part.
        state: ``"passed"``, ``"failed"``, ``"timed out"`` or ``"skipped"``.
        seconds: how long it took.
        reason: why it failed before it could measure, or was skipped.
        findings: in the order of measuring.
    """

    name: str
    title: str
    state: str
    seconds: float
    reason: str
    findings: tuple[Finding, ...]

    @property
    def good(self) -> bool:
        return self.state in ("passed", "skipped")


def as_json(machine: dict[str, Any], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    passed = all(outcome.good for outcome in outcomes)
    return {**machine, "passed": passed, "parts": [asdict(outcome) for outcome in outcomes]}


def as_markdown(machine: dict[str, Any], outcomes: Sequence[Outcome]) -> str:
    """One table of the parts and one of everything measured."""
    lines = ["# GPU acceptance", ""]
    lines += [f"- {key.replace('_', ' ')}: {value}" for key, value in machine.items()]
    lines += ["", "| part | verdict | s | |", "| --- | --- | --: | --- |"]
    lines += [
        _table_row(one.title, one.state, f"{one.seconds:.0f}", one.reason) for one in outcomes
    ]
    lines += ["", "| part | measured | value | goal | reached |", "| --- | --- | --: | --- | --- |"]
    lines += [
        _table_row(one.name, f.what, _text(f.value), f.goal, _mark(f))
        for one in outcomes
        for f in one.findings
    ]
    return "\n".join([*lines, ""])


def _mark(finding: Finding) -> str:
    if not finding.goal:
        return ""
    return "yes" if finding.reached else "**no**"


def _table_row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"

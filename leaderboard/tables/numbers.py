"""Numbers as all tables print them."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from leaderboard.statistics import Summary, rounds_to_zero


def mean_std(value: Summary, digits: int = 2) -> str:
    """``80.25 ± 0.12``; a single value has no ±."""
    spread = "" if value.std is None else f" ± {rounded(value.std, digits)}"
    return rounded(value.mean, digits) + spread


def rounded(value: float, digits: int) -> str:
    """Rounds half up, as on the page and by hand: average ranks end in 0.125. Zero has no sign."""
    number = Decimal(value).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return str(number if number else abs(number))


def difference_text(value: float | None, digits: int = 2) -> str:
    """With its sign, but none for what is printed as zero; a dash for None."""
    if value is None:
        return "—"
    text = rounded(value, digits)
    return text if value < 0 or rounds_to_zero(value, digits) else f"+{text}"


def interval_text(low: float, high: float, digits: int = 2) -> str:
    """The interval of a difference, ``[-0.12, +0.31]``."""
    return f"[{difference_text(low, digits)}, {difference_text(high, digits)}]"

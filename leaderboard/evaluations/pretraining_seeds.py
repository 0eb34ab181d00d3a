"""Two sources of variance: seeds of the pre-training and seeds of the fine-tuning.

The papers repeat the fine-tuning only. Where a method was pre-trained with several seeds, this
table says how much of the spread each source adds, and whether two methods differ beyond both.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from leaderboard.analyses import OURS
from leaderboard.board import Board, Score
from leaderboard.columns import Column, dataset_title
from leaderboard.evaluations.details import Detail, DetailCell, DetailRow, Number
from leaderboard.statistics import (
    Summary,
    difference_text,
    interval_text,
    p_text,
    rounded,
    summarize,
    welch_test,
)

#: The analysis that has this table.
PRETRAINING_SEEDS = next(one for one in OURS if one.id == "pretraining_seeds")

#: Heading of the table.
TITLE = "Two sources of variance"

_NOTE = (
    "Each pre-training is scored with the seeds of the table above. σ of the {seeds}: "
    "pooled over the pre-trainings; σ of the pre-training: what the spread of the pre-trainings' "
    "means has beyond that (one-way random effects by the method of moments; 0 where it has less). "
    "With three pre-trainings either is a rough estimate. Difference: of the means over the "
    "pre-trainings, whose number is the n of its test, with its 95 % interval (Welch's t-test; no "
    "correction)."
)


@dataclass(frozen=True, slots=True)
class VarianceComponents:
    """One method in one column.

    Attributes:
        means: of the fine-tunings of each pre-training.
        fine_tuning: standard deviation between fine-tunings of one pre-training.
        pretraining: standard deviation between pre-trainings, without what fine-tuning adds.
    """

    means: tuple[float, ...]
    fine_tuning: float
    pretraining: float


def variance_components(runs: Sequence[Sequence[float]]) -> VarianceComponents | None:
    """One-way random-effects analysis of variance by the method of moments.

    For balanced runs these are σ² = MS_within and σ_p² = (MS_between - MS_within) / n (Searle,
    Casella & McCulloch, Variance Components, 1992); with unequal numbers n is their usual average
    n₀ = (N - Σ nᵢ² / N) / (k - 1).

    Args:
        runs: the scores of each pre-training's fine-tunings.

    Returns:
        None for fewer than two pre-trainings, or with a single fine-tuning each.
    """
    counts = [len(values) for values in runs]
    total, groups = sum(counts), len(runs)
    if groups < 2 or total == groups:
        return None
    means = tuple(sum(values) / len(values) for values in runs)
    grand = sum(map(sum, runs)) / total
    within = sum((x - m) ** 2 for values, m in zip(runs, means) for x in values)
    within /= total - groups
    between = sum(n * (m - grand) ** 2 for n, m in zip(counts, means)) / (groups - 1)
    size = (total - sum(n**2 for n in counts) / total) / (groups - 1)
    return VarianceComponents(
        means, math.sqrt(within), math.sqrt(max(0.0, (between - within) / size))
    )


def _lines() -> dict[str, list[str]]:
    """Title of a method → its pre-trainings, the method itself first."""
    lines: dict[str, list[str]] = {}
    for member in PRETRAINING_SEEDS.members:
        lines.setdefault(PRETRAINING_SEEDS.line_title(member), []).append(member.method)
    return lines


def repeated(methods: Collection[str]) -> set[str]:
    """The methods that repeat the pre-training of another one of them with another seed.

    In a table of different methods they would take ranks from others and enlarge its family.
    """
    return {again for first, *others in _lines().values() if first in methods for again in others}


def add_pretraining_seeds(board: Board, scores: Mapping[str, Mapping[Column, Score]]) -> Board:
    """The board with the table of both sources, a row per method with several pre-trainings."""
    lines = _lines()
    found = {
        (line, column): components
        for line, methods in lines.items()
        for column in board.columns
        if (components := variance_components(_runs(methods, column, scores)))
    }
    shown = {line: methods for line, methods in lines.items() if any(k[0] == line for k in found)}
    if not shown:
        return board
    first = next(iter(shown))
    rows = [
        DetailRow(
            methods[0],
            (line,),
            tuple(
                cell
                for column in board.columns
                for cell in _cells(
                    found.get((line, column)),
                    column,
                    None if line == first else found.get((first, column)),
                )
            ),
        )
        for line, methods in shown.items()
    ]
    # For frozen features, the seed is that of the layer on top of them.
    seeds = "evaluation" if board.is_evaluation else "fine-tuning"
    titles = ("Mean", f"σ {seeds}", "σ pre-training", f"Difference to {first}")
    columns = tuple(
        (f"{dataset_title(column.dataset)}, {column.label}", title)
        for column in board.columns
        for title in titles
    )
    detail = Detail(TITLE, ("Method",), columns, tuple(rows), (_NOTE.format(seeds=seeds),))
    return replace(board, details=(*board.details, detail))


def _runs(
    methods: Sequence[str], column: Column, scores: Mapping[str, Mapping[Column, Score]]
) -> list[list[float]]:
    found = [scores.get(method, {}).get(column) for method in methods]
    return [list(score.values.values()) for score in found if score and score.values]


def _cells(
    own: VarianceComponents | None, column: Column, reference: VarianceComponents | None
) -> tuple[DetailCell, ...]:
    if own is None:
        return (DetailCell(),) * 4

    def cell(
        text: str,
        metric: str,
        words: str,
        summary: Summary,
        interval: tuple[float, float] | None = None,
    ) -> DetailCell:
        definition = f"{words}, of {column.definition}"
        number = Number(
            *(column.dataset, f"{column.metric}_{metric}", definition, column.unit),
            *(summary, interval),
        )
        return DetailCell(text, number)

    mean = summarize(own.means)
    parts = [
        cell(
            f"{rounded(mean.mean, column.digits)} (n = {mean.n})",
            "over_pretrainings",
            "mean over pre-trainings",
            replace(mean, std=None),
        ),
        *(
            cell(rounded(value, column.digits), name, words, Summary(value, None, mean.n))
            for value, name, words in (
                (own.fine_tuning, "sd_fine_tuning", "standard deviation between fine-tunings"),
                (own.pretraining, "sd_pretraining", "standard deviation between pre-trainings"),
            )
        ),
    ]
    if reference is None:
        return (*parts, DetailCell())
    difference = mean.mean - summarize(reference.means).mean
    test = welch_test(own.means, reference.means)
    interval = (test.ci_low, test.ci_high) if test else None
    shown = [difference_text(difference, column.digits)]
    shown += [interval_text(*interval, column.digits)] if interval else []
    text = f"{' '.join(shown)} ({p_text(test and test.p)})"
    what = ("pretraining_difference", "difference over pre-trainings")
    return (*parts, cell(text, *what, Summary(difference, None, mean.n), interval))

"""The boards of the papers' analyses and of our own, with the runs that each is about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmark.schemas import TASK_KINDS
from leaderboard.analyses import (
    ANALYSES,
    BY_DATASET,
    OURS,
    Analysis,
    Member,
    is_analysis,
    paper_of,
)
from leaderboard.board import Board
from leaderboard.evaluations.pretraining_seeds import PRETRAINING_SEEDS, add_pretraining_seeds
from leaderboard.measured import Measured, measured_board
from leaderboard.published import PublishedTable


def analysis_boards(measured: Measured, published: Sequence[PublishedTable]) -> Iterator[Board]:
    """Per analysis and task with a run of its own: its members, those of the main board too.

    An analysis is compared with the setting that its rows vary.

    Args:
        published: tables whose rows are shown beside the measured ones, for context.
    """
    shown = _shown_analyses(measured)
    for analysis in (*shown, _further_analyses(measured, shown)):
        titles = {m.method: m.title for m in analysis.members if m.method in measured.rows}
        own = [m.method for m in analysis.members if m.own and m.method in titles]
        # Two methods of the main board make an analysis, a single one does not.
        if len(titles) < 2 and not any(map(is_analysis, own)):
            continue
        columns = {
            column for cells in measured.select(own, lambda c: c.main).values() for column in cells
        }
        tasks = [task for task in TASK_KINDS if task in {measured.task(c) for c in columns}]
        several = len(tasks) > 1
        for task in tasks:
            of_task = {column for column in columns if measured.task(column) == task}
            board = measured_board(
                measured,
                measured.select(list(titles), of_task.__contains__),
                [table for table in published if table.analysis == analysis.id],
                titles,
                name=f"analysis-{analysis.id}" + (f"-{task}" if several else ""),
                title=analysis.title + (f", {task}" if several else ""),
                task=task,
                analysis=analysis.id,
                reference=analysis.reference,
                keep_order=True,
            )
            if analysis is PRETRAINING_SEEDS:
                board = add_pretraining_seeds(board, measured.scores)
            yield board


def _shown_analyses(measured: Measured) -> list[Analysis]:
    """The analyses of the protocol's paper.

    At a smaller scale (protocol ``demo``, say) also those of the other paper that have a run which
    belongs to none of its own.
    """
    paper = paper_of(measured.protocol)
    declared = [analysis for analysis in ANALYSES if analysis.id not in BY_DATASET]
    own = [analysis for analysis in declared if analysis.protocol == paper]
    if measured.protocol == paper:
        return [*own, *OURS]
    known = {member.method for analysis in own for member in analysis.members}
    others = [
        analysis
        for analysis in declared
        if analysis.protocol != paper
        and any(m.own and m.method in measured.rows.keys() - known for m in analysis.members)
    ]
    return [*own, *others, *OURS]


def _further_analyses(measured: Measured, shown: Sequence[Analysis]) -> Analysis:
    """Runs of ``configs/analysis`` that belong to none of the analyses shown."""
    declared = {member.method for analysis in shown for member in analysis.members}
    rest = [m for m in measured.rows if is_analysis(m) and m not in declared]
    members = [
        Member(method, measured.rows[method].title, own=is_analysis(method))
        for method in ("vasomim", *rest)
        if method in measured.rows
    ]
    about = ("other", "Further analyses", measured.protocol, "")
    return Analysis(*about, reference="vasomim", members=tuple(members), datasets=())

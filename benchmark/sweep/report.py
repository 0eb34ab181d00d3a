"""Print the plan and the status of a sweep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmark.commands import as_called
from benchmark.results import DatasetId, parse_dataset_id
from benchmark.sweep.cells import seeds_of
from benchmark.sweep.costs import feature_bytes, kept_bytes
from benchmark.sweep.jobs import STATES, CellJob, Job
from benchmark.sweep.plan import Plan

_STAGES = {
    "segmentor": "segmentor",
    "pretrain": "pre-training",
    "finetune": "fine-tuning",
    "evaluate": "frozen encoders",
    "analyse": "representations",
    "test": "scoring elsewhere",
}
_MOST_COLUMNS = 8  # that fit into a usual terminal
_LETTERS = {"running": "R", "failed": "F", "stale": "S"}
_STYLES = {"done": "green", "running": "cyan", "failed": "red", "stale": "yellow"}


class _Member(Protocol):
    """A row of a table of the papers, as `leaderboard.analyses` declares it."""

    method: str
    title: str
    own: bool


class _Analysis(Protocol):
    """A table or figure of the papers, as `leaderboard.analyses` declares it."""

    title: str
    source: str
    members: Sequence[_Member]
    datasets: Sequence[str]


def print_plan(plan: Plan, console: Console, analyses: Iterable[_Analysis] | None = None) -> None:
    """What will run, how long it may take, and why the rest will not.

    Args:
        analyses: of the paper whose protocol the matrix follows. With them, every training and
            every cell is printed, and the rows of the analyses that the plan has runs of.
    """
    _print_heading(plan, console)
    table = _table("stage", "jobs", *STATES, "to run", "hours", "hours held back")
    for stage, name in _STAGES.items():
        jobs = [job for job in plan.jobs if job.stage == stage]
        if jobs:
            table.add_row(name, *_counts(plan, jobs))
    table.add_row("all", *_counts(plan, plan.jobs))
    console.print(table)
    wanted = [job for job in plan.jobs if job.id in plan.todo or job.state == "missing"]
    if wanted:
        sources = Counter(job.source for job in wanted if job.hours is not None)
        told = {
            "recorded": "from records of the same method and dataset",
            "other methods": "from records of other methods on the dataset",
            "estimate": "simple estimate, frames × epochs / rate (docs/sweep.md)",
        }
        parts = [f"{sources[key]} jobs {text}" for key, text in told.items() if sources[key]]
        _line(console, "device hours: " + "; ".join(parts or ["not known"]))
    keeping = [job for job in wanted if isinstance(job, CellJob) and job.keeps]
    if keeping:
        about = _gigabytes(kept_bytes(keeping, plan.matrix.scale))
        told = f"models that are kept to be scored elsewhere: {len(keeping)}, about {about}"
        _line(console, told)
    if size := feature_bytes(wanted, plan.matrix.scale):
        told = f"about {_gigabytes(size)}, and those of test frames; may be deleted afterwards"
        _line(console, f"features of training frames by frozen encoders: {told}")
    if analyses is not None:
        _print_trainings(plan, console)
        _print_cells(plan, console)
        for analysis in analyses:
            _print_analysis(plan, analysis, console)
    _print_held_back(plan, console)


def _print_trainings(plan: Plan, console: Console) -> None:
    """Every training, its state, and the hours of those that are not done."""
    table = _table("training", "config", "state", "hours", texts=3)
    for job in plan.jobs:
        if not isinstance(job, CellJob):
            config = job.id.removeprefix("train-").replace("-", "/", 1) + ".py"
            hours = "" if job.state == "done" else _hours([job])
            table.add_row(job.title, f"configs/{config}", _state(job.state), hours)
    if table.row_count:
        console.print(table)


def _print_cells(plan: Plan, console: Console) -> None:
    """Every cell: how many of its seeds are done, and the hours of the others.

    Methods are the rows; transposed where there are more datasets than methods and than fit as
    columns. Too many columns are split into several tables.
    """
    cells = _by_method(plan)
    datasets = list(dict.fromkeys(cell.dataset for own in cells.values() for cell in own))

    def cell_text(method: str, dataset: str) -> Text:
        jobs = [cell for cell in cells[method] if cell.dataset == dataset]
        left = [cell for cell in jobs if cell.state != "done"]
        text = _progress(jobs)
        return text.append(f" · {_hours(left)} h") if left else text

    transposed = len(datasets) > max(len(cells), _MOST_COLUMNS)
    rows, columns = (datasets, list(cells)) if transposed else (list(cells), datasets)
    parts = -(-len(columns) // _MOST_COLUMNS)
    for part in range(parts):
        first, last = (len(columns) * number // parts for number in (part, part + 1))
        table = _table("cells: done, hours left", *columns[first:last])
        for row in rows:
            pairs = [(one, row) if transposed else (row, one) for one in columns[first:last]]
            table.add_row(row, *(cell_text(*pair) for pair in pairs))
        console.print(table)


def _print_analysis(plan: Plan, analysis: _Analysis, console: Console) -> None:
    """A table of the papers and how much of each row is done; nothing without runs of it."""
    cells = _by_method(plan)
    datasets = _datasets_of(analysis, cells)
    titles = {member.method: member.title for member in analysis.members}
    special = [name for name in datasets if parse_dataset_id(name) != DatasetId(name)]
    if special:
        # Its datasets make it this analysis, whatever the methods.
        others = [m for m in cells if {cell.dataset for cell in cells[m]} & set(special)]
        titles = {m: titles.get(m, m) for m in dict.fromkeys([*titles, *others])}
    elif not any(member.own and member.method in cells for member in analysis.members):
        return
    table = _table(f"{analysis.source}: {analysis.title}", "method", *datasets, texts=2)
    for method, title in titles.items():
        own = cells.get(method, [])
        row = [_progress([cell for cell in own if cell.dataset == name]) for name in datasets]
        if any(cell.dataset in datasets for cell in own):
            table.add_row(title, method, *row)
    if table.row_count:
        console.print(table)


def _datasets_of(analysis: _Analysis, cells: dict[str, list[CellJob]]) -> list[str]:
    """The datasets of a plan that an analysis is about: its own or, failing that, similar ones."""
    there = list(dict.fromkeys(cell.dataset for own in cells.values() for cell in own))
    if own := [name for name in analysis.datasets if name in there]:
        return own
    ids = {name: parse_dataset_id(name) for name in there}
    wanted = [parse_dataset_id(name) for name in analysis.datasets]
    if any(one.kind == "patches" for one in wanted):
        return [name for name, known in ids.items() if known.kind == "patches"]
    plain = [name for name, known in ids.items() if known == DatasetId(name)]
    if all(one.label_fraction == 1 for one in wanted):
        return plain
    shares = {name: known for name, known in ids.items() if known.label_fraction < 1}
    return [*shares, *(name for name in plain if name in {one.dataset for one in shares.values()})]


def _by_method(plan: Plan) -> dict[str, list[CellJob]]:
    cells: dict[str, list[CellJob]] = {}
    for job in plan.jobs:
        if isinstance(job, CellJob):
            cells.setdefault(job.method, []).append(job)
    return cells


def print_status(plan: Plan, console: Console) -> None:
    """The progress of every method on every dataset, and the reasons for what is not done."""
    _print_heading(plan, console)
    trainings = [job for job in plan.jobs if not isinstance(job, CellJob)]
    by_method = _by_method(plan)
    cells = [cell for own in by_method.values() for cell in own]
    datasets = list(dict.fromkeys(cell.dataset for cell in cells))
    table = _table("method", "pre-training", *datasets)
    made = {job.id: job for job in trainings}
    for method, own in by_method.items():
        training = next((made[need] for cell in own for need in cell.needs), None)
        row = [Text("—") if training is None else _state(training.state)]
        row += [_progress([cell for cell in own if cell.dataset == name]) for name in datasets]
        table.add_row(method, *row)
    console.print(table)
    for job in trainings:
        if job.stage == "segmentor":
            _line(console, f"segmentor {job.title}: {job.state}")
    counts = Counter(job.state for job in cells)
    line = ", ".join(f"{counts[state]} {state}" for state in STATES)
    _line(console, f"cells: {line}; R running, F failed, S stale in the table")
    _print_held_back(plan, console)


def print_summary(plan: Plan, console: Console) -> None:
    """What is left to do after a run."""
    counts = Counter(job.state for job in plan.jobs)
    _line(console, ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state]))
    _print_held_back(plan, console)


def _print_heading(plan: Plan, console: Console) -> None:
    matrix = plan.matrix
    cells = sum(isinstance(job, CellJob) and job.requested for job in plan.jobs)
    size = f"{len(matrix.methods)} methods, {len(matrix.datasets)} datasets, "
    size += f"{len(matrix.seeds)} seeds: {cells} cells"
    once = any(len(seeds_of(matrix, name)) < len(matrix.seeds) for name in matrix.datasets)
    size += " (k-NN draws nothing: one seed)" if once else ""
    protocols = ", ".join(plan.protocols) or "not known"
    _line(console, f"{matrix.name}: {size}")
    _line(console, f"scale {matrix.scale}, protocol {protocols}, runs in {matrix.folder}")


def _counts(plan: Plan, jobs: Sequence[Job]) -> list[str]:
    states = Counter(job.state for job in jobs)
    todo = [job for job in jobs if job.id in plan.todo]
    later = [job for job in jobs if job.id not in plan.todo and job.state == "missing"]
    numbers = [len(jobs), *(states[state] for state in STATES), len(todo)]
    return [*map(str, numbers), _hours(todo), _hours(later)]


def _hours(jobs: Sequence[Job]) -> str:
    known = [job.hours for job in jobs if job.hours is not None]
    hours = f"{sum(known):,.1f}" if sum(known) >= 0.95 else f"{sum(known):.2f}"
    return hours + (f" + {len(jobs) - len(known)} not known" if len(known) < len(jobs) else "")


def _gigabytes(size: float) -> str:
    size /= 1e9
    return (f"{size:,.0f}" if size >= 9.5 else f"{size:.2g}") + " GB"


def _print_held_back(plan: Plan, console: Console) -> None:
    """Failed and stale jobs, and those that cannot run, each reason once."""
    waiting = plan.waiting()
    groups = [
        ("failed; --retry-failed tries again", "failed"),
        ("stale; --rerun-stale replaces them", "stale"),
        ("not run", "missing"),
    ]
    for heading, state in groups:
        jobs = [job for job in waiting if job.state == state]
        if not jobs:
            continue
        console.print(Text(f"{len(jobs)} {heading}:", style=_STYLES.get(state, "bold")))
        for reason, titles in _by_reason(jobs).items():
            shown = ", ".join(titles[:3]) + (f" and {len(titles) - 3} more" if titles[3:] else "")
            _line(console, f"  {shown}: {as_called(reason)}")


def _by_reason(jobs: Iterable[Job]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for job in jobs:
        for reason in (job.problem or job.reason).splitlines() or [""]:
            reasons.setdefault(reason, []).append(job.title)
    return reasons


def _state(state: str) -> Text:
    return Text(state, style=_STYLES.get(state, ""))


def _progress(cells: Sequence[Job]) -> Text:
    """``3/5 1F``: three of five are done, one has failed; a dash where there are no cells."""
    if not cells:
        return Text("—")
    states = Counter(cell.state for cell in cells)
    text = Text(f"{states['done']}/{len(cells)}")
    text.stylize("green" if states["done"] == len(cells) else "")
    for state, letter in _LETTERS.items():
        if states[state]:
            text.append(f" {states[state]}{letter}", style=_STYLES[state])
    return text


def _table(*columns: str, texts: int = 1) -> Table:
    """An empty table whose first columns are texts, and the others numbers."""
    table = Table(box=box.SIMPLE)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number < texts else "right", no_wrap=True)
    return table


def _line(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)

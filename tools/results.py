#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Show, validate, compare and merge the result records of runs (docs/results.md)."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _cli

from benchmark.files import OVERWRITE_POLICIES
from benchmark.text import visible

if TYPE_CHECKING:
    from benchmark.results import RunRecord

# Long, so it comes last.
_LAST = "config"


def arguments() -> argparse.Namespace:
    parser = _cli.Parser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    validate = commands.add_parser(
        "validate", help="name every file below a folder that is not a complete result; exit code 1"
    )
    validate.add_argument("folder", metavar="DIR", help="folder of the results")
    show = commands.add_parser("show", help="list the records of a folder, or print one record")
    show.add_argument("path", metavar="DIR|FILE", help="folder of results, or one JSON file")
    compare = commands.add_parser(
        "compare",
        help="say which cells differ between two folders, and whether by more than the noise of "
        "their seeds; exit code 1 if a cell moved, differs without a spread to compare with, "
        "or is in one of them only",
    )
    compare.add_argument("before", metavar="A", help="folder of results")
    compare.add_argument("after", metavar="B", help="another one, such as of a repeated run")
    merge = commands.add_parser(
        "merge", help="copy the results of several folders, for example from two machines, into one"
    )
    merge.add_argument("source", nargs="+", metavar="SOURCE", help="folder of results")
    merge.add_argument("--into", required=True, metavar="DIR", help="folder they are copied to")
    merge.add_argument(
        "--policy",
        choices=OVERWRITE_POLICIES,
        default="only-missing",
        help="if the target has another record of a run: keep it (only-missing, the default), "
        "replace it (always), or stop before anything is copied (never)",
    )
    merge.add_argument(
        "--without-examples",
        action="store_true",
        help="leave out the pictures of frames and predictions, which may not be published "
        "everywhere and are most of the bytes",
    )
    return parser.parse_args()


def validate(folder: Path) -> int:
    from benchmark.results import find_problems

    count, problems = find_problems(folder)
    for problem in problems:
        print(problem)
    print(f"complete records: {count}, problems: {len(problems)}")
    return 1 if problems else 0


def headline(record: RunRecord) -> str:
    metrics = record.metrics.items()
    return "  ".join(f"{name} {metric.value:.2f}" for name, metric in metrics if metric.headline)


def commit(record: RunRecord) -> str:
    """The abbreviated commit, with a + where the code differed from it."""
    return record.git.commit[:7] + "+" * record.git.dirty if record.git else "—"


def show_folder(folder: Path) -> int:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from benchmark.results import scan_results

    results = scan_results(folder)
    records = [results.records[place] for place in sorted(results.records)]
    headers = ("protocol", "method", "dataset", "seed", "metrics", "finished", "git")
    table = Table(*headers, box=SIMPLE_HEAD)
    for record in records:
        ids = (record.protocol, record.method, record.dataset, str(record.seed))
        date = record.finished[:16].replace("T", " ")
        # Text, not markup: a name may hold brackets.
        texts = (*ids, headline(record), date, commit(record))
        table.add_row(*(Text(visible(text)) for text in texts))
    # Without a terminal, lines are not wrapped.
    Console(width=None if sys.stdout.isatty() else 1000).print(table)
    print(f"{len(records)} records")
    if problems := results.problems:
        command = visible(f"tools/results.py validate {folder}")
        print(f"{len(problems)} files or folders skipped; {command} names them")
    return 1 if results.unlisted else 0


def compare(before: str, after: str) -> int:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from benchmark.errors import InputError
    from benchmark.results import read_results
    from leaderboard.compare.reruns import NOISE, NOT_REPEATED, compare_reruns, describe

    sides, problems = zip(*(read_results(folder) for folder in (before, after)))
    if not any(sides):
        raise InputError(f"neither {before} nor {after} has result files")
    reruns = compare_reruns(*sides)
    table = Table("cell", "metric", "A", "B", "B − A", "p", "", box=SIMPLE_HEAD)
    for rerun in reruns:
        table.add_row(*(Text(visible(text)) for text in describe(rerun)))
    Console(width=None if sys.stdout.isatty() else 1000).print(table)
    for folder, lines in zip((before, after), problems):
        for line in lines:
            print(visible(f"skipped: {folder}: {line}"))
    counts = Counter(rerun.state for rerun in reruns)
    print(", ".join(f"{count} {state}" for state, count in sorted(counts.items())))
    print(f"A: {visible(before)}, B: {visible(after)}; {NOISE}")
    return 1 if counts.keys() & NOT_REPEATED or any(problems) else 0


def key_value_lines(value: Any, indent: str = "") -> Iterator[str]:
    """A nested value as lines of ``key: value``, without nulls."""
    width = max((len(key) for key in value), default=0) + 2
    for key, item in value.items():
        if isinstance(item, dict) and item:
            yield f"{indent}{key}:"
            yield from key_value_lines(item, indent + "  ")
        elif item is not None:
            text = item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)
            yield f"{indent}{key + ':':{width}}{text}"


def show_file(path: Path) -> None:
    from benchmark.results import read_record

    data = read_record(path).model_dump()
    config = data.pop(_LAST)
    text = json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False)
    for line in (*key_value_lines(data), f"{_LAST}:", *text.split("\n")):
        print(visible(line))


def merge(sources: list[str], into: Path, policy: str, examples: bool) -> int:
    from rich.console import Console
    from rich.progress import track

    from benchmark.files.locking import hold_folder
    from benchmark.results import apply_step, plan_merge

    screen = Console(stderr=True)
    with hold_folder(into, "being merged into"):
        steps, problems = plan_merge(sources, into, policy, examples)
        for step in track(steps, "merge", console=screen, disable=not screen.is_terminal):
            apply_step(step)
    for step in steps:
        if step.conflict:
            difference = f"{step.source} is a different record ({step.conflict})"
            print(visible(f"{step.target}: {step.action}, {difference}"))
    for problem in problems:
        print(visible(f"skipped: {problem}"))
    counts = Counter(step.action for step in steps)
    labels = {"copied": "copied", "equal": "already there", "replaced": "replaced", "kept": "kept"}
    summary = ", ".join(f"{counts[action]} {label}" for action, label in labels.items())
    print(visible(f"{into}: {summary}, {len(problems)} skipped"))
    return 1 if problems or counts["kept"] else 0


def main() -> int:
    args = arguments()
    if args.command == "validate":
        return validate(Path(args.folder))
    if args.command == "merge":
        return merge(args.source, Path(args.into), args.policy, not args.without_examples)
    if args.command == "compare":
        return compare(args.before, args.after)
    path = Path(args.path)
    if path.is_file():
        show_file(path)
        return 0
    return show_folder(path)


if __name__ == "__main__":
    _cli.run(main, prints_result=True)

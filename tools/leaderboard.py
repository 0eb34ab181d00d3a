#!/usr/bin/env python3
"""Regenerate the leaderboard from the result files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from _cli import ROOT, run

if TYPE_CHECKING:
    from leaderboard.board import Board

# In front of this folder, where the name `leaderboard` means this file and not the package.
sys.path.insert(0, str(ROOT))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Regenerate leaderboard.md and leaderboard.csv from the result files. "
        "Equal result files give byte-identical tables."
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=ROOT / "leaderboard" / "results",
        metavar="DIR",
        help="folder of the result files (default: leaderboard/results)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=ROOT / "leaderboard",
        metavar="DIR",
        help="folder of the two tables (default: leaderboard)",
    )
    parser.add_argument(
        "--protocol", metavar="NAME", help="needed only if the results are of several protocols"
    )
    parser.add_argument(
        "--reference",
        default="mae",
        metavar="METHOD",
        help="method that every other one is tested against (default: mae)",
    )
    parser.add_argument("--title", default="Leaderboard", help="heading of the tables")
    return parser.parse_args(arguments)


def show(board: Board) -> None:
    """Print the board: drawn tables on a terminal, plain Markdown anywhere else."""
    from leaderboard.tables import grids, headline, notes, to_markdown

    if not sys.stdout.isatty():
        print(to_markdown(board), end="")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    console.print(Text(board.title, style="bold"), Text(headline(board)), sep="\n")
    styles = {1: "bold green", 2: "underline"}
    for grid in grids(board):
        table = Table(title=Text(grid.heading), title_justify="left")
        for index, head in enumerate(grid.head):
            table.add_column(Text(head), justify="left" if index < grid.left else "right")
        for row in grid.rows:
            # Text, not markup: rich would read the rank in its brackets as a style.
            table.add_row(
                *(
                    Text.assemble((entry.text, styles.get(entry.place, "")), entry.suffix)
                    for entry in row
                )
            )
        console.print("", table)
    for note in notes(board):
        console.print(Text(f"• {note}"))


def main() -> int:
    options = parse()

    from benchmark.engine.records import read_results
    from benchmark.errors import InputError

    if options.out.exists() and not options.out.is_dir():
        raise InputError(f"{options.out}: --out has to be a folder")
    records, problems = read_results(options.results)
    if not records:
        left_out = f" ({len(problems)} left out, first {problems[0]})" if problems else ""
        raise InputError(f"{options.results}: no result files{left_out}")
    protocols = sorted({record.protocol for record in records})
    if options.protocol is None and len(protocols) > 1:
        raise InputError(
            f"{options.results}: results of several protocols; "
            f"choose with --protocol: {', '.join(protocols)}"
        )
    protocol = options.protocol or protocols[0]
    records = [record for record in records if record.protocol == protocol]
    if not records:
        raise InputError(
            f"{options.results}: no results of protocol {protocol}; known: {', '.join(protocols)}"
        )
    # scipy is behind these imports: only once there is something to test.
    from benchmark.files import write_text
    from leaderboard.board import build_board
    from leaderboard.tables import to_csv, to_markdown

    board = build_board(
        records, options.reference, protocol, title=options.title, problems=problems
    )
    write_text(options.out / "leaderboard.md", to_markdown(board))
    write_text(options.out / "leaderboard.csv", to_csv(board))
    show(board)
    return 0


if __name__ == "__main__":
    run(main)

#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Regenerate the leaderboard from the result files."""

from __future__ import annotations

import argparse
import atexit
import gc
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from _cli import Parser, number, run

from benchmark.type_hints import Range

if TYPE_CHECKING:
    from benchmark.results import RunRecord
    from leaderboard.build import Leaderboard
    from leaderboard.pictures.gallery import Gallery

FORMATS = ("md", "csv", "tex", "json", "html")
#: Those of --compare.
COMPARED = ("md", "html")
#: Default folder to write to, and the default folder of the result files.
OUT = Path("work_dirs")
RESULTS = OUT / "results"
#: Protocol → matrices whose runs are in its tables.
MATRICES = {"journal": ("journal", "ablations"), "aaai": ("aaai", "aaai_ablations")}
# Options of boards of results.
RUNS_ONLY = (
    "protocol",
    "per_image",
    "without_leakage",
    "with_published",
    "assets",
    "page_limit",
)

Item = TypeVar("Item")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        description="Regenerate the leaderboard from the result files, as Markdown, CSV, LaTeX, "
        "JSON and a page. Equal result files give byte-identical files."
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=RESULTS,
        metavar="DIR",
        help=f"folder of the result files (default: {RESULTS})",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=OUT,
        metavar="DIR",
        help=f"folder to write to (default: {OUT})",
    )
    parser.add_argument(
        "--format",
        nargs="+",
        choices=FORMATS,
        help="which files to write (default: all)",
    )
    parser.add_argument(
        "--protocol", metavar="NAME", help="required if the results are of several protocols"
    )
    parser.add_argument(
        "--reference",
        metavar="METHOD",
        help="method that every other one is tested against (default: mae; of published tables "
        "vasomim_v1)",
    )
    parser.add_argument(
        "--correction",
        choices=("holm", "bh", "none"),
        default="holm",
        help="correction of the p-values for the verdicts (default: holm)",
    )
    parser.add_argument(
        "--per-image",
        action="store_true",
        help="also test over images, clustered by patient (slower)",
    )
    parser.add_argument(
        "--without-leakage",
        action="store_true",
        help="skip scores with known leakage (tools/check.py leakage) instead of marking them",
    )
    parser.add_argument(
        "--with-published",
        action="store_true",
        help="show the papers' numbers of this protocol beside the measured ones",
    )
    parser.add_argument(
        "--published",
        action="store_true",
        help="show the papers' tables instead of results; writes published.md and so on",
    )
    parser.add_argument(
        "--compare",
        action="store_true",
        help="show every published number beside the measured one, and the commands of what has "
        "not run; writes compare.md and compare.html",
    )
    parser.add_argument(
        "--latex-width",
        type=number(Annotated[float, Range(least=80, most=1000)]),
        default=178.0,
        metavar="MM",
        help="text width of the document that reads the LaTeX tables, in mm (default: 178)",
    )
    parser.add_argument(
        "--assets",
        action="store_true",
        help="keep the example pictures as files beside the page, in leaderboard_pictures/, "
        "instead of embedding them",
    )
    parser.add_argument(
        "--page-limit",
        type=number(Annotated[float, Range(least=0)]),
        metavar="MB",
        help="size of the page up to which example pictures are embedded (default: 8)",
    )
    parser.add_argument("--title", help="heading of the tables (default: Leaderboard)")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="also update the short board in FILE"
    )
    parser.add_argument(
        "--marker", metavar="NAME", help="which one, if FILE has several (docs/leaderboard.md)"
    )
    options = parser.parse_args(arguments)
    unused = {
        "published": (*RUNS_ONLY, "compare"),
        "compare": (*RUNS_ONLY, "reference", "write", "marker"),
        "assets": ("page_limit",),
    }
    # A limit of 0 is one.
    given = {
        key for key, value in vars(options).items() if value is not None and value is not False
    }
    for mode, names in unused.items():
        for name in names if mode in given else ():
            if name in given:
                parser.error(f"--{name.replace('_', '-')} has no effect with --{mode}: drop it")
    if options.marker and not options.write:
        parser.error("--marker needs --write")
    known = COMPARED if options.compare else FORMATS
    options.format = options.format or known
    if other := [name for name in options.format if name not in known]:
        parser.error(f"--format {other[0]}: --compare writes {' and '.join(known)}")
    pictured = {"assets": {"html", "json"}, "page_limit": {"html"}}
    for name, formats in pictured.items():
        if name in given and not formats & set(options.format):
            needed = " or ".join(sorted(formats))
            parser.error(f"--{name.replace('_', '-')} needs {needed} in --format")
    return options


def build(options: argparse.Namespace) -> tuple[Leaderboard, Gallery | None, int]:
    """The leaderboard, the examples on its page, and the number of unlisted folders."""
    titled = {"title": options.title} if options.title else {}
    if options.published:
        from benchmark.method_cards import read_method_cards
        from benchmark.method_costs import read_costs
        from leaderboard.build import published_leaderboard
        from leaderboard.published import read_tables

        cards = {card.method: card for card in read_method_cards()}
        leaderboard = published_leaderboard(
            read_tables(),
            reference=options.reference,
            correction=options.correction,
            costs=read_costs(),
            cards=cards,
            **titled,
        )
        return leaderboard, None, 0
    from benchmark.results.store import scan_results

    results = scan_results(options.results)
    records = of_one_protocol(results.records.values(), results.problems, options)
    # These import scipy: only once there is something to test.
    from benchmark.errors import one_of
    from benchmark.method_cards import ANALYSIS, read_method_cards
    from benchmark.method_costs import read_costs
    from leaderboard.build import build_leaderboard
    from leaderboard.comparable import without_leakage
    from leaderboard.per_image import with_per_image_tests
    from leaderboard.pictures.gallery import make_gallery
    from leaderboard.published import read_tables

    problems = list(results.problems)
    if options.without_leakage:
        records, skipped = without_leakage(records)
        problems += skipped
    cards = read_method_cards()
    if options.reference and not options.reference.startswith(ANALYSIS):
        # One without results yet is no mistake: its row may come later.
        methods = {record.method: None for record in [*records, *cards]}
        one_of("--reference", options.reference, methods)
    leaderboard = build_leaderboard(
        records,
        options.reference or "mae",
        records[0].protocol,
        problems=problems,
        cards={card.method: card for card in cards},
        published=read_tables() if options.with_published else (),
        correction=options.correction,
        costs=read_costs(),
        **titled,
    )
    if options.per_image:
        leaderboard = with_per_image_tests(leaderboard, results.paths, progress=show_progress)
    if not {"json", "html"} & set(options.format):
        return leaderboard, None, results.unlisted
    gallery = make_gallery(leaderboard, results.paths)
    return leaderboard.with_problems(gallery.problems), gallery, results.unlisted


def of_one_protocol(
    records: Collection[RunRecord], problems: Sequence[str], options: argparse.Namespace
) -> list[RunRecord]:
    """The records of the chosen protocol, or of the only one."""
    from benchmark.errors import InputError

    if not records:
        skipped = f" ({len(problems)} skipped, first {problems[0]})" if problems else ""
        raise InputError(f"{options.results}: no result files{skipped}")
    protocols = sorted({record.protocol for record in records})
    if options.protocol is None and len(protocols) > 1:
        raise InputError(
            f"{options.results}: results of several protocols; "
            f"choose with --protocol: {', '.join(protocols)}"
        )
    protocol = options.protocol or protocols[0]
    if protocol not in protocols:
        raise InputError(
            f"{options.results}: no results of protocol {protocol}; known: {', '.join(protocols)}"
        )
    return [record for record in records if record.protocol == protocol]


def show_progress(items: list[Item]) -> Iterable[Item]:
    """The items, with a progress bar on a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(items, "tests over images", console=console, disable=not console.is_terminal)


def write(leaderboard: Leaderboard, gallery: Gallery | None, options: argparse.Namespace) -> str:
    """Write the chosen formats, each file atomically; returns the Markdown."""
    import json

    from benchmark.files import write_text
    from leaderboard.data import board_data
    from leaderboard.pictures.files import pictures_folder, remove_old_pictures, write_pictures
    from leaderboard.tables.latex import to_latex
    from leaderboard.tables.long_format import to_csv
    from leaderboard.tables.markdown import to_markdown
    from leaderboard.tables.short_board import short_table, write_between_markers

    name = "published" if options.published else "leaderboard"
    folder = pictures_folder(options.out / name)
    data: dict[str, Any] = {}
    if {"json", "html"} & set(options.format):
        entries = gallery.entries if gallery else ()
        data = board_data(leaderboard, entries, folder.name if options.assets else None)
    text = to_markdown(leaderboard)
    writers = {
        "md": lambda: text,
        "csv": lambda: to_csv(leaderboard),
        "tex": lambda: to_latex(leaderboard, options.latex_width),
        "json": lambda: (
            json.dumps(data, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
        ),
        "html": lambda: page(data, pictures, options),
    }
    pictures = gallery.pictures if gallery else {}
    if options.assets:
        write_pictures(folder, pictures)
    for suffix in FORMATS:
        if suffix in options.format:
            write_text(options.out / f"{name}.{suffix}", writers[suffix]())
    if "html" in options.format:
        # Only now does no page refer to them any more.
        remove_old_pictures(folder, pictures if options.assets else ())
    if options.write:
        write_between_markers(options.write, short_table(leaderboard), options.marker)
    return text


def page(data: dict[str, Any], pictures: Mapping[str, bytes], options: argparse.Namespace) -> str:
    """The page; prints which examples it has no room for."""
    from leaderboard.page import LIMIT, make_page
    from leaderboard.page.embedding import omission

    limit = LIMIT if options.page_limit is None else 1e6 * options.page_limit
    made = make_page(data, pictures, limit)
    if made.omitted:
        line = omission(made.omitted, data["gallery"], limit, named=False)
        print(f"note: {line}", file=sys.stderr)
    return made.text


def compare(options: argparse.Namespace) -> tuple[str, int]:
    """Write the comparison with the papers.

    The default folder of results may be missing: then nothing has run yet.

    Returns:
        The Markdown, and the number of folders that could not be listed.
    """
    from benchmark.files import write_text
    from benchmark.method_costs import read_costs
    from benchmark.results.store import ScannedRecords, scan_results
    from benchmark.sweep.cells import matrices_of_cells
    from leaderboard.compare.content import TITLE, parts
    from leaderboard.compare.markdown import to_markdown
    from leaderboard.compare.page import to_html
    from leaderboard.compare.side_by_side import PAPERS, pair_tables
    from leaderboard.measured import read_measured
    from leaderboard.published import read_tables

    missing = options.results == RESULTS and not RESULTS.exists()
    results = ScannedRecords({}, {}, [], 0) if missing else scan_results(options.results)
    records = {
        protocol: [record for record in results.records.values() if record.protocol == protocol]
        for protocol in PAPERS
    }
    measured = {name: read_measured(own, name) for name, own in records.items() if own}
    cells = {
        (protocol, *cell): configs
        for protocol, names in MATRICES.items()
        for cell, configs in matrices_of_cells(names).items()
    }
    tables = pair_tables(read_tables(), measured, read_costs(), lambda cell: cells.get(cell, ()))
    n_runs = Counter(record.protocol for record in results.records.values())
    document = parts(tables, n_runs, results.problems, options.title or TITLE)
    text = to_markdown(document)
    writers = {"md": lambda: text, "html": lambda: to_html(document)}
    for suffix in COMPARED:
        if suffix in options.format:
            write_text(options.out / f"compare.{suffix}", writers[suffix]())
    return text, results.unlisted


def main() -> int:
    options = parse()

    from benchmark.errors import InputError
    from benchmark.files.locking import hold_folder

    if options.out.exists() and not options.out.is_dir():
        raise InputError(f"{options.out}: --out must be a folder")
    # Collecting a million objects, all alive until the end, would take a tenth of the time.
    gc.disable()
    try:
        with hold_folder(options.out, "being regenerated"):
            if options.compare:
                leaderboard, (text, unlisted) = None, compare(options)
            else:
                leaderboard, gallery, unlisted = build(options)
                text = write(leaderboard, gallery, options)
    finally:
        gc.enable()
    if leaderboard is not None and sys.stdout.isatty():
        from leaderboard.tables.terminal import show

        show(leaderboard)
    else:
        print(text, end="")
    if unlisted:
        print(
            f"warning: the board may lack results: {unlisted} folder(s) could not be listed; see "
            "its notes",
            file=sys.stderr,
        )
    return 1 if unlisted else 0


if __name__ == "__main__":
    # Or the interpreter would search a million objects for garbage before it ends.
    atexit.register(gc.freeze)
    run(main, prints_result=True)

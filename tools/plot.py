#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Draw the diagrams of the leaderboard's page as figures for print: PNG, SVG or PDF.

    tools/plot.py critical-difference work_dirs/leaderboard.json --out cd.pdf
    tools/plot.py datasets work_dirs/leaderboard.json --columns arcade_v/dsc --out dots.svg
    tools/plot.py training work_dirs/mae/pretrain work_dirs/vasomim/pretrain --out loss.png

What is higher than a page is split into numbered files. Equal inputs give byte-identical files.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import _cli

from benchmark.errors import InputError


def arguments() -> argparse.Namespace:
    from leaderboard.figures import KINDS

    kinds = "; ".join(f"{name}: {words}" for name, words in KINDS.items())
    parser = _cli.Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS, metavar="KIND", help=kinds)
    parser.add_argument(
        "source", nargs="+", type=Path, help="leaderboard.json; for training: run folders"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="figure to write")
    parser.add_argument("--board", metavar="ID", help="board (default: the first with such data)")
    parser.add_argument("--reference", metavar="ROW", help="row or method to compare with")
    parser.add_argument("--rows", nargs="+", default=[], metavar="ROW", help="rows or methods")
    parser.add_argument(
        "--columns", nargs="+", default=[], metavar="ID", help="for example arcade_v/dsc"
    )
    parser.add_argument("--curves", nargs="+", default=[], metavar="ID", help="ids of curves")
    parser.add_argument("--cost", metavar="ID", help="for example step_gflops (costs)")
    parser.add_argument("--term", default="loss", help="logged term (training; default: loss)")
    parser.add_argument(
        "--width", type=float, default=180.0, metavar="MM", help="width in mm (default: 180)"
    )
    parser.add_argument("--dpi", type=int, default=300, help="resolution of a PNG (default: 300)")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    if not 60 <= args.width <= 1000:
        raise InputError(f"--width {args.width:g}: must be 60 to 1000 mm")
    if not 50 <= args.dpi <= 1200:
        raise InputError(f"--dpi {args.dpi}: must be 50 to 1200")
    if args.kind != "training" and len(args.source) > 1:
        raise InputError(f"{args.source[1]}: {args.kind} takes a single leaderboard.json")
    from benchmark.visualization.figure_files import figure_format
    from leaderboard.figures import Choice, draw, draw_training
    from leaderboard.figures.board_view import read_board_data
    from leaderboard.figures.style import save

    figure_format(args.out)
    if args.kind == "training":
        figures = draw_training(args.source, args.term, args.width)
    else:
        names = ("board", "reference", "rows", "columns", "curves", "width", "cost")
        choice = Choice(**{name: getattr(args, name) for name in names})
        figures = draw(args.kind, read_board_data(args.source[0]), choice)
    for out, figure in zip(numbered(args.out, len(figures)), figures):
        save(figure, out, args.dpi)
        width, height = (25.4 * side for side in figure.get_size_inches())
        print(f"{out}: {args.kind}, {width:.0f} × {height:.0f} mm")


def numbered(out: Path, count: int) -> list[Path]:
    """The file of every part: FILE for one, FILE-1, FILE-2, … for several."""
    if count == 1:
        return [out]
    return [out.with_stem(f"{out.stem}-{number}") for number in range(1, count + 1)]


if __name__ == "__main__":
    _cli.run(main)

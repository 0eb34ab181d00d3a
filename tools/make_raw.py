#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Write synthetic angiograms in the raw layout of a public dataset.

    tools/make_raw.py arcade --out /tmp/arcade
    tools/prepare_data.py arcade --raw /tmp/arcade --out /tmp/arcade_v

For trying a reader without a download. The known defects of the dataset are planted as well, unless
--no-defects is given.
"""

from __future__ import annotations

import argparse

import _cli

from benchmark.type_hints import Count, Seed

NAMES = (
    *("arcade", "arcade_challenge", "cadica", "caxf", "coronary_dominance", "dca1", "folder"),
    *("stenosis", "syntax", "xa20k", "xa170k", "xcad", "xcav"),
)


def _parser() -> argparse.ArgumentParser:
    parser = _cli.Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", metavar="DATASET", choices=NAMES, help=", ".join(NAMES))
    parser.add_argument("--out", metavar="DIR", required=True, help="empty folder to write")
    parser.add_argument(
        "--seed",
        type=_cli.number(Seed),
        default=0,
        help="a different seed gives different patients [0]",
    )
    parser.add_argument(
        "--size", type=_cli.number(Count), default=96, help="side of the frames in pixels [96]"
    )
    parser.add_argument("--no-defects", action="store_true", help="plant no defects")
    return parser


def main() -> int:
    arguments = _parser().parse_args()
    from benchmark.data.synthetic.raw import write_raw

    layout = write_raw(
        arguments.dataset,
        arguments.out,
        seed=arguments.seed,
        size=arguments.size,
        defects=not arguments.no_defects,
    )
    for split, count in sorted(layout.frames.items(), key=str):
        print(f"{split or 'frames without a split':<24} {count:>6}")
    for reason, count in sorted(layout.skipped.items()):
        print(f"planted: {reason:<48} {count:>4}")
    print(f"written: {layout.root}")
    return 0


if __name__ == "__main__":
    _cli.run(main)

#!/usr/bin/env python3
"""Time parts of the benchmark against an independent reference, both in one run."""

from __future__ import annotations

import argparse

from _cli import run


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True)
    anatomy = parts.add_parser(
        "anatomy",
        help="vessel masks: this code against scikit-image, on the CPU",
    )
    anatomy.add_argument("--frames", type=int, default=20, help="number of frames (%(default)s)")
    anatomy.add_argument(
        "--size", type=int, default=512, help="height and width in pixels (%(default)s)"
    )
    anatomy.add_argument(
        "--threads", type=int, default=1, help="CPU threads, for both (%(default)s)"
    )
    anatomy.add_argument(
        "--repeats",
        type=int,
        default=3,
        help="timings per side, of which the medians count (%(default)s)",
    )
    anatomy.add_argument(
        "--images", metavar="FOLDER", help="PNG frames below this folder (default: synthetic ones)"
    )
    anatomy.add_argument("--out", metavar="CSV", help="also write the result as a one-row CSV")
    return parser.parse_args()


def main() -> None:
    options = parse()
    # Imported late: `--help` must not wait for torch and scikit-image.
    from benchmark.anatomy.bench import bench_anatomy

    bench_anatomy(
        count=options.frames,
        size=options.size,
        threads=options.threads,
        repeats=options.repeats,
        images=options.images,
        out=options.out,
    )


if __name__ == "__main__":
    run(main)

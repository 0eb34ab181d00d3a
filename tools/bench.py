#!/usr/bin/env python3
"""Time parts of the benchmark against an independent reference, both in one run."""

from __future__ import annotations

import argparse

from _cli import ROOT, SCALES, run


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True)
    anatomy = parts.add_parser(
        "anatomy",
        help="vessel masks: this code against scikit-image, on the CPU",
    )
    anatomy.add_argument("--frames", type=int, default=20, help="number of frames (%(default)s)")
    pack = parts.add_parser(
        "pack",
        help="building packs on one core: this code against decoding the same files alone",
    )
    pack.add_argument("--frames", type=int, default=256, help="number of frames (%(default)s)")
    anatomy.add_argument(
        "--threads", type=int, default=1, help="CPU threads, for both (%(default)s)"
    )
    for part in (anatomy, pack):
        part.add_argument(
            "--size", type=int, default=512, help="height and width in pixels (%(default)s)"
        )
        part.add_argument(
            "--repeats",
            type=int,
            default=3,
            help="timings per side, of which the medians count (%(default)s)",
        )
        part.add_argument(
            "--images",
            metavar="FOLDER",
            help="PNG frames below this folder (default: synthetic ones)",
        )
        part.add_argument("--out", metavar="CSV", help="also write the result as a CSV")
    pretrain = parts.add_parser("pretrain", help="training steps of all methods against MAE's")
    pretrain.add_argument("methods", nargs="*", metavar="METHOD", help="folders of configs/ [all]")
    pretrain.add_argument("--scale", choices=tuple(SCALES), default="small", help="[%(default)s]")
    pretrain.add_argument("--batch", type=int, default=16, help="frames per step [%(default)s]")
    pretrain.add_argument("--repeats", type=int, default=5, help="steps of each [%(default)s]")
    pretrain.add_argument(
        "--threads", type=int, default=0, help="CPU threads [as many as torch chooses]"
    )
    pretrain.add_argument(
        "--mae-options",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="settings of the MAE that is compared with, for example method.masking.ratio=0.5",
    )
    pretrain.add_argument("--out", metavar="CSV", help="also write the result as a CSV")
    return parser.parse_args()


def main() -> None:
    options = vars(parse())
    if options["part"] == "pretrain":
        from benchmark.quiet import quiet_libraries

        with quiet_libraries():
            from benchmark.engine.bench import bench_pretrain

        del options["part"]
        bench_pretrain(configs=ROOT / "configs", **options)
        return
    options["count"] = options.pop("frames")
    # Imported late: `--help` must not wait for torch and scikit-image.
    if options.pop("part") == "anatomy":
        from benchmark.anatomy.bench import bench_anatomy as bench
    else:
        from benchmark.data.bench import bench_pack as bench
    bench(**options)


if __name__ == "__main__":
    run(main)

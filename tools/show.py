#!/usr/bin/env python3
"""Draw a contact sheet of a pack or run, or a logged quantity of several runs over the epochs.

Pack: frame, extracted vessels. Pre-training: view, vessels, probability map, guidance, masked
patches, reconstruction. Fine-tuning: frame, ground truth, prediction, and their difference.
With --curve: one line per run, for example of loss or vessel_share.
"""

from __future__ import annotations

import argparse

import _cli

from benchmark.errors import InputError


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "path", nargs="+", metavar="RUN_OR_PACK", help="folder of a pack or of a run"
    )
    parser.add_argument("--out", required=True, metavar="PNG", help="image to write")
    parser.add_argument("--curve", metavar="TERM", help="draw this logged quantity instead")
    parser.add_argument("--count", type=int, default=6, help="number of frames (default: 6)")
    parser.add_argument("--epoch", type=int, help="epoch of the masks (default: last)")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    if args.curve:
        from benchmark.visualization.log_curves import draw_curves

        print(draw_curves(args.path, args.curve, args.out))
        return
    if len(args.path) > 1:
        raise InputError(f"{args.path[1]}: a sheet shows one folder; several need --curve TERM")
    from benchmark.visualization.contact_sheets import draw_sheet

    print(draw_sheet(args.path[0], args.out, args.count, args.epoch))


if __name__ == "__main__":
    _cli.run(main)

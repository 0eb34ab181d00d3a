#!/usr/bin/env python3
"""Draw a contact sheet of a pack, of a pre-training run or of a fine-tuned run.

Pack: frame, extracted vessels. Pre-training: view, vessels, probability map, guidance, masked
patches, reconstruction. Fine-tuned: frame, truth, prediction, and where they differ.
"""

from __future__ import annotations

import argparse

import _cli


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", metavar="RUN_OR_PACK", help="folder of a pack or of a run")
    parser.add_argument("--out", required=True, metavar="PNG", help="picture to write")
    parser.add_argument("--count", type=int, default=6, help="frames (default: 6)")
    parser.add_argument("--epoch", type=int, help="epoch whose masks are drawn (default: last)")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    from benchmark.sheets import draw_sheet

    print(draw_sheet(args.path, args.out, args.count, args.epoch))


if __name__ == "__main__":
    _cli.run(main)

#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Extract the vessels of every frame of a pack: vesselness, threshold, region growing."""

from __future__ import annotations

import argparse
from pathlib import Path

import _cli

from benchmark.data.prepared import require_pack


def arguments() -> argparse.Namespace:
    parser = _cli.Parser(description=__doc__)
    parser.add_argument("packs", nargs="+", metavar="PACK", help="folder of a frame pack")
    parser.add_argument(
        "--vesselness",
        choices=("sato", "frangi", "hessian"),
        default="sato",
        help="ridge filter (default: sato, as in the released VasoMIM code)",
    )
    parser.add_argument(
        "--alpha", type=float, default=92.0, help="percentile of the threshold (default: 92)"
    )
    parser.add_argument(
        "--border", type=int, default=20, help="pixels ignored along every side (default: 20)"
    )
    parser.add_argument("--batch", type=int, default=16, help="frames per call (default: 16)")
    _cli.add_device_option(parser)
    parser.add_argument(
        "--overwrite", action="store_true", help="replace masks extracted with other parameters"
    )
    return parser.parse_args()


def main() -> None:
    args = arguments()
    for pack in args.packs:
        require_pack(Path(pack))
    from benchmark.anatomy.pack import extract

    for pack in args.packs:
        summary = extract(
            pack,
            kind=args.vesselness,
            alpha=args.alpha,
            border=args.border,
            batch=args.batch,
            overwrite=args.overwrite,
        )
        print(summary)


if __name__ == "__main__":
    _cli.run(main)

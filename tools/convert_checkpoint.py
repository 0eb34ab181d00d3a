#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Convert a released encoder to the format that fine-tuning loads.

    tools/convert_checkpoint.py --list
    tools/convert_checkpoint.py mae_imagenet mae_pretrain_vit_base.pth

Download the file yourself. Loading is strict; nothing pickled in it is executed.
"""

from __future__ import annotations

import argparse
import ast
from pathlib import Path
from typing import Any

import _cli

from benchmark.encoders.releases import RELEASES, find_release
from benchmark.errors import InputError
from benchmark.files.contents import require_file
from benchmark.text import columns, visible


def arguments() -> argparse.Namespace:
    parser = _cli.Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", metavar="NAME", help="a released encoder, see --list")
    parser.add_argument("file", nargs="?", metavar="FILE", help="the downloaded file")
    parser.add_argument("--list", action="store_true", help="print the released encoders and exit")
    parser.add_argument(
        "--out", metavar="DIR", help="output folder (default: work_dirs/released/NAME)"
    )
    parser.add_argument(
        "--arguments",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="arguments of a network of another size, for example embed_dim=1024 depth=24 "
        "num_heads=16",
    )
    parser.add_argument(
        "--prefix",
        metavar="TEXT",
        help="prefix of the tensor names of the network in FILE, for example teacher.backbone.",
    )
    parser.add_argument(
        "--trust",
        action="store_true",
        help="execute what is pickled in FILE; only for a file whose origin you trust",
    )
    args = parser.parse_args()
    if not args.list and not (args.name and args.file):
        parser.error("NAME and FILE, or --list")
    return args


def argument(option: str) -> tuple[str, Any]:
    """``KEY=VALUE`` of `--arguments`; the value is a Python literal."""
    key, separator, text = option.partition("=")
    try:
        value = ast.literal_eval(text) if separator else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = None
    if not key or (value is None and text != "None"):
        raise InputError(f"--arguments {option}: write it as key=number")
    return key, value


def format_values(values: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in values.items())


def print_list() -> None:
    rows = [["name", "title", "trained on", "network", "source", "note"]]
    for release in RELEASES.values():
        row = (release.name, release.title, release.pretraining, release.architecture)
        rows.append([*row, release.source, release.notes])
    print(columns(rows))


def main() -> None:
    args = arguments()
    if args.list:
        print_list()
        return
    release, file = find_release(args.name), Path(args.file)
    folder = Path(args.out) if args.out else Path("work_dirs") / "released" / release.name
    given = dict(map(argument, args.arguments))
    require_file(file)
    from benchmark.encoders.conversion import convert

    done = convert(release, file, folder, args.trust, given, args.prefix)
    card, skipped = done.card, done.selection.skipped
    print(f"{release.title}: every tensor fits, written to {folder}")
    shape = f"{card.widths[-1]} channels at stride {card.strides[-1]}"
    print(f"  network      {card.architecture}, {shape}")
    print(f"  names        behind {visible(done.selection.prefix) or repr('')} of the file")
    if skipped:
        some = ", ".join(f"{start} ({count})" for start, count in [*skipped.items()][:6])
        print(f"  skipped      {visible(some)}{', …' if len(skipped) > 6 else ''}")
    print(f"  by tensors   {format_values(done.proven)}")
    print(f"  on trust     {format_values(done.on_trust)} mean={release.mean} std={release.std}")
    print("               no tensor tells these: they are the release's, or as given")
    print(f"  fingerprint  {card.fingerprint}")
    if release.notes:
        print(f"  note         {release.notes}")


if __name__ == "__main__":
    _cli.run(main)

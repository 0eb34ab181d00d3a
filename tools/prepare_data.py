#!/usr/bin/env python3
"""Bring a downloaded dataset into the form that training reads.

    prepare_data.py cadica --raw downloads/CADICA --out data/packs/cadica
    prepare_data.py dca1 --raw downloads/DCA1 --out data/segmentation/dca1 --as segmentation

An interrupted pack goes on with the same command. What is left out is counted by reason, with
examples in manifest.json of the result.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import _cli

from benchmark.data.sources import SOURCES, open_source, source_options
from benchmark.errors import InputError


def _parser() -> argparse.ArgumentParser:
    options = "; ".join(
        f"{name}: " + ", ".join(f"{key}={default}" for key, (_, default) in known.items())
        for name in SOURCES
        if (known := source_options(name))
    )
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", metavar="SOURCE", help=f"one of {', '.join(SOURCES)}")
    parser.add_argument("--raw", metavar="DIR", help="folder of the download")
    parser.add_argument("--out", metavar="DIR", required=True, help="folder to write")
    parser.add_argument(
        "--as",
        dest="form",
        choices=("pack", "segmentation"),
        default="pack",
        help="pack: frames for pre-training (default); segmentation: images and masks",
    )
    parser.add_argument("--size", type=int, metavar="S", help="side of a pack's squares [512]")
    parser.add_argument("--split", nargs="+", metavar="NAME", help="keep only these splits")
    parser.add_argument("--limit", type=int, metavar="N", help="keep only the first N frames")
    parser.add_argument(
        "--workers", type=int, metavar="K", help="processes that decode a pack [0: this one]"
    )
    parser.add_argument(
        "--val-fraction",
        type=float,
        metavar="F",
        help="segmentation: share of train that becomes val [0]",
    )
    parser.add_argument(
        "--option",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help=f"options of the source, with their defaults: {options}",
    )
    parser.add_argument("--strict", action="store_true", help="anything left out is an error")
    return parser


def _source_options(words: Sequence[str]) -> dict[str, str]:
    options = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise InputError(f"--option {word}: write it as key=value")
        if key in options:
            raise InputError(f"--option {key}: given twice")
        options[key] = value
    return options


def _given(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    values = {name: getattr(arguments, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _refuse(given: dict[str, Any], form: str) -> None:
    for name in given:
        raise InputError(f"--{name.replace('_', '-')} applies to {form} only")


def _print_report(out: Path, manifest: dict[str, Any]) -> None:
    counts = manifest["counts"]
    published = counts["expected"].get("frames")
    rows = [("frames found", counts["found"], f"published: {published}" if published else "")]
    if counts["chosen"] != counts["found"]:
        rows.append(("chosen by split or limit", counts["chosen"], ""))
    rows.append(("kept", counts["kept"], ""))
    rows += [(f"  {split}", count, "") for split, count in sorted(counts["splits"].items())]
    for reason, entry in sorted(manifest["skipped"].items()):
        rows.append((f"left out, {reason}", entry["count"], f"e.g. {entry['examples'][0]}"))
    width = max(len(row[0]) for row in rows)
    for label, count, note in rows:
        print(f"{label:<{width}}  {count:>8}  {note}".rstrip())
    if counts["splits"]:
        official = "official" if manifest["split"]["official"] else "not official"
        print(f"split: {manifest['split']['origin']} ({official})")
    print(f"written: {out}")


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    out = Path(arguments.out)
    source = open_source(arguments.source, arguments.raw, **_source_options(arguments.option))
    common = {"splits": arguments.split, "limit": arguments.limit, "strict": arguments.strict}
    for_pack = _given(arguments, "size", "workers")
    for_segmentation = _given(arguments, "val_fraction")
    # Imported late: the table libraries take seconds to load, and --help needs none of them.
    if arguments.form == "pack":
        _refuse(for_segmentation, "--as segmentation")
        from benchmark.data.pack import build_pack

        result = build_pack(source, out, **for_pack, **common)
    else:
        _refuse(for_pack, "--as pack")
        from benchmark.data.segmentation_folder import write_segmentation_folder

        result = write_segmentation_folder(source, out, source.name, **for_segmentation, **common)
    _print_report(out, result.manifest)
    return 0


if __name__ == "__main__":
    _cli.run(main)

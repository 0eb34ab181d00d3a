#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Prepare a downloaded dataset for training: as a pack or a task folder.

    tools/prepare_data.py cadica --raw downloads/CADICA --out work_dirs/packs/cadica
    tools/prepare_data.py arcade --raw downloads/arcade --out work_dirs/downstream/arcade_v
    tools/prepare_data.py xa170k --raw downloads/XA-170K --out work_dirs/packs/xa170k
    tools/prepare_data.py xa170k --raw cadica=downloads/CADICA --out work_dirs/packs/xa
    tools/prepare_data.py xa20k --raw downloads --out work_dirs/packs/xa20k
    tools/prepare_data.py paired --raw mine --option name=mine --out work_dirs/downstream/mine

The same command resumes an interrupted pack. Skipped frames are counted by reason on screen and
listed in report.json of the result. docs/datasets.md has the command of every dataset,
docs/add_a_dataset.md explains your own.
"""

from __future__ import annotations

import argparse
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _cli

from benchmark.data.sources import SOURCES, open_source, source_options
from benchmark.errors import InputError

if TYPE_CHECKING:
    from benchmark.data.frame import Source

FORMS = ("pack", "segmentation", "detection", "denoising")
NOISE = {"photons": "400,150,60", "electronic": "0.02", "blur": "1.0", "seed": "0", "frames": "6"}


def _parser() -> argparse.ArgumentParser:
    options = "; ".join(
        f"{name}: " + ", ".join(f"{key}={default}" for key, (_, default) in known.items())
        for name in SOURCES
        if (known := source_options(name))
    )
    parser = _cli.Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="SOURCE", help=f"one of {', '.join(SOURCES)}")
    parser.add_argument(
        "--raw",
        nargs="+",
        metavar="DIR",
        help="folder of the download; xa20k and xa170k also take their parts as NAME=DIR",
    )
    parser.add_argument("--out", metavar="DIR", required=True, help="folder to write")
    parser.add_argument(
        "--as",
        dest="form",
        choices=FORMS,
        help="pack: frames for pre-training; otherwise a downstream task [default of the source]",
    )
    parser.add_argument("--split", nargs="+", metavar="NAME", help="keep only these splits")
    parser.add_argument("--limit", type=int, metavar="N", help="keep only the first N frames")
    parser.add_argument(
        "--exclude",
        nargs="+",
        default=[],
        metavar="PATH",
        help="exclude every group (patient, study) of these task folders, or of text files with "
        "one group per line",
    )
    parser.add_argument(
        "--option",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help=f"options of the source, with their defaults: {options}",
    )
    parser.add_argument("--strict", action="store_true", help="anything skipped is an error")
    pack = parser.add_argument_group("packs")
    pack.add_argument("--size", type=int, metavar="S", help="side of the squares [512]")
    pack.add_argument(
        "--workers", type=int, metavar="K", help="decoding processes [0: in this process]"
    )
    pack.add_argument(
        "--thin",
        type=int,
        metavar="BITS",
        help="drop a video frame whose perceptual hash differs in fewer bits from that of the last "
        "one kept [0: keep all]",
    )
    task = parser.add_argument_group("tasks")
    task.add_argument(
        "--val-fraction", type=float, metavar="F", help="fraction of train that becomes val [0]"
    )
    task.add_argument(
        "--noise",
        nargs="+",
        metavar="KEY=VALUE",
        help="denoising: " + ", ".join(f"{key}={value}" for key, value in NOISE.items()),
    )
    return parser


def _pairs(words: Sequence[str], option: str) -> dict[str, str]:
    pairs = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise InputError(f"{option} {word}: write it as key=value")
        if key in pairs:
            raise InputError(f"{option} {key}: given twice")
        pairs[key] = value
    return pairs


def _raw(words: list[str] | None) -> str | dict[str, str] | None:
    """One folder, or folders of the parts of xa20k or xa170k by name."""
    if words is None or (len(words) == 1 and ("=" not in words[0] or Path(words[0]).exists())):
        return words[0] if words else None
    return _pairs(words, "--raw")


def _open(arguments: argparse.Namespace) -> tuple[Source, str]:
    options = _pairs(arguments.option, "--option")
    # The denoising task consists of the studies that packs exclude by default.
    if arguments.form == "denoising" and "denoising" in source_options(arguments.source):
        options.setdefault("denoising", "only")
    hint, _ = source_options(arguments.source).get("form", (None, None))
    if arguments.form in typing.get_args(hint):
        options.setdefault("form", arguments.form)
    source = open_source(arguments.source, _raw(arguments.raw), **options)
    form = arguments.form or source.forms[0]
    if form not in source.forms:
        raise InputError(f"--as {form}: {source.name} has {', '.join(source.forms)}")
    return source, form


def _subfolder(words: Sequence[str] | None, source: Source) -> Path | None:
    """Where below the given folder the dataset was found; None if it is that folder itself."""
    root = getattr(source, "root", None)
    if root is None or not words or len(words) > 1:
        return None
    top, root = Path(words[0]).absolute(), Path(root).absolute()
    return root.relative_to(top) if root != top and root.is_relative_to(top) else None


def _given(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    values = {name: getattr(arguments, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _refuse(given: dict[str, Any], form: str) -> None:
    for name in given:
        raise InputError(f"--{name.replace('_', '-')} applies to {form} only")


def _degradation(words: Sequence[str]) -> dict[str, Any]:
    from benchmark.data.denoising import Degradation
    from benchmark.errors import one_of

    values = {**NOISE, **_pairs(words, "--noise")}
    for key in values:
        one_of("noise", key, NOISE)
    try:
        return {
            "frames_per_group": int(values["frames"]),
            "degradation": Degradation(
                photons=tuple(float(level) for level in values["photons"].split(",")),
                electronic=float(values["electronic"]),
                blur=float(values["blur"]),
                seed=int(values["seed"]),
            ),
        }
    except ValueError as error:
        raise InputError(f"--noise {' '.join(words)}: {error}") from None


def main() -> int:
    arguments = _parser().parse_args()
    source, form = _open(arguments)
    # Imported late: the table libraries take seconds to load, and --help needs none of them.
    from benchmark.data.counts import format_rows
    from benchmark.data.tasks.folder import read_groups

    if (where := _subfolder(arguments.raw, source)) is not None:
        print(f"found in the subfolder {where}", flush=True)
    if source.layout:
        print(f"layout: {source.layout}", flush=True)
    splits = arguments.split or (source.pack_splits if form == "pack" else None)
    common = {"splits": splits, "limit": arguments.limit, "strict": arguments.strict}
    common["exclude"] = read_groups(arguments.exclude)
    for_pack = _given(arguments, "size", "workers", "thin")
    for_task = _given(arguments, "val_fraction", "noise")
    if form == "pack":
        _refuse(for_task, "tasks")
        from benchmark.data.packs import build_pack

        result = build_pack(source, arguments.out, **for_pack, **common)
    else:
        _refuse(for_pack, "packs")
        words = for_task.pop("noise", [])
        if form == "denoising" and words and source.has_noisy_frames:
            raise InputError(f"--noise: {source.name} brings noisy frames of its own")
        if form == "denoising":
            for_task.update(_degradation(words))
        elif words:
            _refuse({"noise": words}, "--as denoising")
        from benchmark.data.tasks import write_task_folder

        result = write_task_folder(source, arguments.out, form, **for_task, **common)
    print("\n".join(format_rows(result.manifest)))
    print(f"written: {arguments.out}")
    return 0


if __name__ == "__main__":
    _cli.run(main)

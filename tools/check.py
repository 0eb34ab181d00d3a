#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Check prepared data, leakage of test frames into pre-training, methods, and the machine.

    tools/check.py data work_dirs/packs/cadica work_dirs/downstream/arcade_v
    tools/check.py leakage --pretrain work_dirs/packs/cadica --test work_dirs/downstream/arcade_v
    tools/check.py method configs/mae/pretrain.py
    tools/check.py env --packs work_dirs/packs/xa170k

Exit code 0: no findings other than warnings, 1: findings, 2: bad input.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _cli

from benchmark.data.prepared import require_pack
from benchmark.errors import InputError

if TYPE_CHECKING:
    from benchmark.data.checks import Findings

_EXAMPLES = 3


def _parser() -> argparse.ArgumentParser:
    parser = _cli.Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    data = commands.add_parser("data", help="decode everything and compare it with its hashes")
    data.add_argument("paths", nargs="+", metavar="PATH", help="folder of a pack or of a task")
    data.add_argument(
        "--out", metavar="DIR", help="write the result as check.json into this folder"
    )
    leakage = commands.add_parser(
        "leakage", help="search the pre-training packs for test and val frames"
    )
    leakage.add_argument(
        "--pretrain",
        nargs="+",
        required=True,
        metavar="PACK",
        help="packs, in the order of training",
    )
    leakage.add_argument(
        "--test", nargs="+", required=True, metavar="PATH", help="task folders or packs"
    )
    leakage.add_argument(
        "--out",
        metavar="DIR",
        help="folder for the reports [leakage/<corpus hash> in each tested folder, where "
        "fine-tuning expects them]",
    )
    method = commands.add_parser(
        "method", help="test a method's config: gradients, resume, export, two processes"
    )
    method.add_argument("config", nargs="+", metavar="CONFIG", help="configs/<method>/pretrain.py")
    method.add_argument(
        "--cfg-options",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="override settings, for example method.masking.ratio=0.6",
    )
    env = commands.add_parser(
        "env", help="versions, GPUs, cores, disks: what is missing, what will be slow, and why"
    )
    env.add_argument(
        "--work", default="work_dirs", metavar="DIR", help="folder of the runs [work_dirs]"
    )
    env.add_argument(
        "--packs", nargs="+", default=[], metavar="PACK", help="packs to be trained on"
    )
    return parser


def _make_folder(path: Path) -> None:
    """Create the folder for the results before the checks, which can take minutes.

    Raises:
        InputError: it is a file.
        OSError: it cannot be created.
    """
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: not a folder; choose another --out")
    path.mkdir(parents=True, exist_ok=True)


def _print_rows(rows: Iterable[tuple[str, int, str]]) -> None:
    rows = list(rows)
    width = max(len(label) for label, _, _ in rows)
    for label, number, note in rows:
        print(f"{label:<{width}}  {number:>8}  {note}".rstrip())


def _print_findings(found: Findings) -> None:
    summary = found.summary()
    print(f"{found.path}: {found.kind} {found.identity[:16]}")
    rows = [(label, number, "") for label, number in found.counts.items()]
    for level in ("error", "warning"):
        for reason, entry in sorted(summary[f"{level}s"].items()):
            examples = "; ".join(entry["examples"][:_EXAMPLES])
            rows.append((f"{level}: {reason}", entry["count"], f"e.g. {examples}"))
    _print_rows(rows)
    print(f"{len(found.errors)} errors, {len(found.warnings)} warnings")


def _check_data(arguments: argparse.Namespace) -> int:
    # Imported late: the table libraries take seconds to load, and --help needs none of them.
    from benchmark.data.checks import check_data
    from benchmark.files import write_json

    if arguments.out:
        _make_folder(Path(arguments.out))
    results = []
    for path in arguments.paths:
        found = check_data(path)
        _print_findings(found)
        results.append(found)
    if arguments.out:
        file = Path(arguments.out) / "check.json"
        write_json(file, {"checked": [found.summary() for found in results]})
        print(f"written: {file}")
    return int(any(found.errors for found in results))


def _print_report(report: dict[str, Any]) -> None:
    counts, pretrain, test = report["counts"], report["pretrain"], report["test"]
    print(f"{test['name']} ({test['kind']} {report['split_hash'][:16]})")
    rows = [("pre-training frames", pretrain["frames"], report["corpus_hash"][:16])]
    for split, held in sorted(test["splits"].items()):
        note = f"identical: {held['exact']}, near-duplicate: {held['similar']}"
        rows.append((f"held-out frames, {split}", held["frames"], note))
    rows += [
        ("frames with an identical one", counts["exact"], f"{counts['exact_pairs']} pairs"),
        (
            "frames with a near-duplicate only",
            counts["similar"],
            f"{counts['similar_pairs']} pairs",
        ),
    ]
    unknown = [
        f"{side['without_group']} of {side['frames']} frames of {name}"
        for name, side in (("pre-training", pretrain), ("the test", test))
        if side["without_group"]
    ]
    note = f"not known: {', '.join(unknown)}" if unknown else ""
    rows.append(("patients on both sides", counts["groups"], note))
    _print_rows(rows)


def _check_leakage(arguments: argparse.Namespace) -> int:
    for pack in arguments.pretrain:
        require_pack(Path(pack))
    from benchmark.data.checks.leakage import (
        check_leakage,
        has_leakage,
        open_held_out,
        report_folder,
        write_leakage_report,
    )
    from benchmark.data.packs import open_packs

    packs = open_packs(arguments.pretrain)
    held_out = [open_held_out(path) for path in arguments.test]
    folders = [report_folder(one.path, packs.corpus_hash) for one in held_out]
    if arguments.out:
        out = Path(arguments.out)
        folders = [out / one.name for one in held_out] if len(held_out) > 1 else [out]
    if len(set(folders)) < len(folders):
        raise InputError("--test: two folders of the same name; check them one by one")
    for folder in folders:
        _make_folder(folder)
    found = False
    for one, folder, report in zip(held_out, folders, check_leakage(packs, held_out)):
        write_leakage_report(folder, report, packs, one)
        _print_report(report)
        print(f"report {report['report_hash'][:16]} written: {folder}")
        found |= has_leakage(report)
    return int(found)


def _check_method(arguments: argparse.Namespace) -> int:
    import tempfile

    from benchmark.openmmlab.quiet import quiet_libraries
    from benchmark.training.config_keys import PRETRAIN_KEYS, PRETRAIN_NEEDS, read_option
    from benchmark.training.preview import find_config

    for option in arguments.cfg_options:  # report mistakes before loading torch
        read_option(option, PRETRAIN_KEYS)
    paths = [find_config(name) for name in arguments.config]

    with quiet_libraries():
        from benchmark.checks.contract import ContractTrial, check_method, prepare
        from benchmark.training.config import fill_paths, load_config

    broken = False
    for path in paths:
        with tempfile.TemporaryDirectory() as folder:
            config = load_config(path, "tiny", arguments.cfg_options, needed=PRETRAIN_NEEDS)
            fill_paths(config, folder)
            prepare(config, Path(folder))
            print(f"{path}: {config.card.title}")
            for verdict in check_method(ContractTrial(config, Path(folder) / "runs")):
                mark = "pass" if verdict.passed else "FAIL"
                print(f"  {verdict.check:<30}{mark}  {verdict.detail}", flush=True)
                broken |= not verdict.passed
    return int(broken)


def _check_env(arguments: argparse.Namespace) -> int:
    from collections import Counter

    from benchmark.checks.environment import STATES, examine

    last, states = "", Counter()
    for part, found in examine(Path(arguments.work), [Path(path) for path in arguments.packs]):
        if part != last:
            print(last := part)
        print(f"  {found.name:<24}{found.state:<9}{found.value}", flush=True)
        if found.advice:
            print(f"  {'':<33}{found.advice}", flush=True)
        states[found.state] += 1
    print(", ".join(f"{states[state]} {state}" for state in STATES))
    return int(states["missing"] > 0)


_COMMANDS = {
    "data": _check_data,
    "leakage": _check_leakage,
    "method": _check_method,
    "env": _check_env,
}


def main() -> int:
    arguments = _parser().parse_args()
    return _COMMANDS[arguments.command](arguments)


if __name__ == "__main__":
    _cli.run(main, prints_result=True)

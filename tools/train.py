#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Pre-train a method, or train the segmentor, from a config.

One process: tools/train.py CONFIG. Several: tools/dist_train.sh CONFIG N. Same arguments.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import _cli

from benchmark.errors import InputError
from benchmark.method_cards import default_folder
from benchmark.training.checkpoints.run_files import checkpoint_paths
from benchmark.training.config_keys import PRETRAIN_KEYS, PRETRAIN_NEEDS
from benchmark.training.preview import find_config, preview, require_inputs
from benchmark.type_hints import Count, Seed

_STARTED = time.time()


def arguments() -> argparse.Namespace:
    parser = _cli.Parser(description=__doc__)
    parser.add_argument("config", help="a method, such as vasomim, or the path of a config")
    _cli.add_run_options(parser)
    parser.add_argument("--packs", nargs="+", metavar="DIR", help="frame packs to train on")
    parser.add_argument(
        "--seed", type=_cli.number(Seed), help="seed of the run (default: the config's)"
    )
    parser.add_argument("--work-dir", metavar="DIR", help="folder of this one run")
    parser.add_argument("--resume", action="store_true", help="resume this run, if there is one")
    parser.add_argument(
        "--load-from",
        metavar="PATH",
        help="start a new run from the weights of a checkpoint, an exported network or a folder",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what the folder holds")
    parser.add_argument("--live", action="store_true", help=_cli.LIVE_HELP)
    parser.add_argument(
        "--print-config", action="store_true", help="print the resolved config, as a config file"
    )
    parser.add_argument(
        "--check",
        type=_cli.number(Count),
        nargs="?",
        const=1,
        metavar="N",
        help="check whether N processes could start, and stop",
    )
    parser.add_argument("--dry-run", action="store_true", help="two steps, nothing is written")
    return parser.parse_args()


def after_interrupt() -> str:
    """Advice after Ctrl-C, which saves nothing: a run resumes from its newest checkpoint."""
    args = arguments()
    folder = args.work_dir or default_folder(find_config(args.config), _cli.work_folder(args))
    newest = next(iter(checkpoint_paths(Path(folder))), None)
    if args.print_config or args.check or args.dry_run or newest is None:
        return "run the same command again"
    if args.overwrite and newest.stat().st_mtime < _STARTED:  # of the run to be replaced
        return "run the same command again"
    instead = " instead of --overwrite" if args.overwrite else ""
    return f"the same command with --resume{instead} continues after {newest}"


def main() -> None:
    args = arguments()
    work = _cli.work_folder(args)
    # Loading the libraries takes seconds; cheap checks come first.
    path = find_config(args.config)
    if args.load_from and not Path(args.load_from.replace("{work}", str(work))).exists():
        raise InputError(f"{args.load_from}: no such file to load from")
    values = preview(path, PRETRAIN_KEYS, PRETRAIN_NEEDS, args.cfg_options)
    if not args.print_config:
        require_inputs({**values, **({"packs": args.packs} if args.packs else {})}, work)
    from benchmark.training.config import fill_paths, load_config

    config = load_config(path, args.scale, args.cfg_options, needed=PRETRAIN_NEEDS)
    if args.packs:
        config.packs = args.packs
    if args.seed is not None:
        config.seed = args.seed
    if args.load_from:
        config.load_from = args.load_from
    fill_paths(config, work)
    if args.print_config:
        from benchmark.training.config_source import print_config

        print_config(config)
        return
    from benchmark.training.distributed.setup import process_group
    from benchmark.training.train import check, dry_run, train

    folder = Path(args.work_dir or default_folder(path, work))
    with process_group(config.get("timeout_minutes", 30)):
        if args.check:
            check(config, folder, args.resume, args.overwrite, args.check)
        elif args.dry_run:
            dry_run(config, config.card.title)
        else:
            train(config, folder, config.card.title, args.resume, args.overwrite, live=args.live)


if __name__ == "__main__":
    _cli.run(main, after_interrupt)

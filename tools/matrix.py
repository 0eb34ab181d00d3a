#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Run the matrix methods × datasets × seeds that a config declares, or show its status.

    tools/matrix.py run configs/leaderboard/demo.py --dry-run
    tools/matrix.py run configs/leaderboard/demo.py --jobs 2
    tools/matrix.py status configs/leaderboard/demo.py

Nothing is computed twice; the same command resumes where the last one stopped.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import _cli

from benchmark.training.config_keys import SCALES
from benchmark.type_hints import Count, Natural, Seed


def _parser() -> argparse.ArgumentParser:
    parser = _cli.Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="{run,status}")
    run = commands.add_parser("run", help="run what is missing, then draw the board")
    status = commands.add_parser("status", help="done, running, failed, stale and missing cells")
    for command in (run, status):
        command.add_argument("config", help="for example configs/leaderboard/journal.py")
        command.add_argument("--scale", choices=tuple(SCALES), help="instead of the config's")
        command.add_argument("--work", metavar="DIR", help="folder all runs live in")
        command.add_argument("--methods", nargs="+", metavar="NAME", help="only these")
        command.add_argument("--datasets", nargs="+", metavar="NAME", help="only these")
        command.add_argument(
            "--seeds", nargs="+", type=_cli.number(Seed), metavar="N", help="only these"
        )
        command.add_argument(
            "--configs", default=str(_cli.ROOT / "configs"), help=argparse.SUPPRESS
        )
    run.add_argument("--dry-run", action="store_true", help="print the plan, write nothing")
    run.add_argument("--retry-failed", action="store_true", help="retry failed jobs")
    run.add_argument(
        "--rerun-stale",
        action="store_true",
        help="replace results whose settings or inputs have changed since",
    )
    run.add_argument(
        "--jobs",
        type=_cli.number(Count),
        metavar="N",
        help="jobs at once (default: one per GPU, or the config's)",
    )
    run.add_argument(
        "--gpus",
        type=_cli.number(Natural),
        metavar="N",
        help="GPUs to use (default: all of this machine)",
    )
    run.add_argument(
        "--pretrain-gpus",
        type=_cli.number(Count),
        metavar="N",
        help="GPUs of one pre-training (default: 1)",
    )
    run.add_argument(
        "--executor",
        choices=("local", "slurm"),
        default="local",
        help="where jobs run: configs/leaderboard/profiles/NAME (default: local)",
    )
    _cli.add_device_option(run)
    run.add_argument("--profile", metavar="DIR", help="a Snakemake profile of your own")
    job = commands.add_parser("job")  # what Snakemake starts
    job.add_argument("description", type=Path)
    return parser


def _run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from benchmark.files.locking import made_folder
    from benchmark.method_cards import CONFIGS
    from benchmark.sweep.cleanup import clean_up_if_idle
    from benchmark.sweep.config_cache import cached
    from benchmark.sweep.execution import PROFILES, draw_boards, require_snakemake, run_plan
    from benchmark.sweep.gpus import visible_gpus
    from benchmark.sweep.matrix import read_matrix, restrict, without_missing
    from benchmark.sweep.plan import SweepSettings, make_plan, sweep_folder
    from benchmark.sweep.report import print_plan, print_status, print_summary
    from benchmark.training.preview import find_config

    matrix = read_matrix(find_config(args.config, CONFIGS / "leaderboard"))
    if args.scale:
        matrix = matrix.model_copy(update={"scale": args.scale})
    if args.work:
        matrix = matrix.model_copy(update={"work": args.work})
    if not args.datasets:
        matrix = without_missing(matrix)
    matrix = restrict(matrix, methods=args.methods, datasets=args.datasets, seeds=args.seeds)
    settings = SweepSettings(configs=Path(args.configs))
    console = Console(width=None if sys.stdout.isatty() else 200)
    dry = args.command == "run" and args.dry_run
    resolver = cached(sweep_folder(matrix) / "resolved.json", write=not dry)
    if args.command == "status":
        print_status(make_plan(matrix, resolver, settings), console)
        return 0

    local = args.executor == "local"
    gpus = visible_gpus()[: args.gpus] if local else None
    each = 1 if gpus or (not local and args.gpus != 0) else 0
    settings = replace(
        settings,
        rerun_stale=args.rerun_stale,
        retry_failed=args.retry_failed,
        cell_gpus=each,
        pretrain_gpus=each and (args.pretrain_gpus or 1),
    )
    if not dry:
        require_snakemake()
    # Loading the configs takes a while: a folder that cannot be written is reported before.
    with nullcontext() if dry else made_folder(sweep_folder(matrix)):
        plan = make_plan(matrix, resolver, settings)
    if dry:
        from leaderboard.analyses import ANALYSES, paper_of

        papers = {paper_of(protocol) for protocol in plan.protocols}
        print_plan(plan, console, [entry for entry in ANALYSES if entry.protocol in papers])
        return 0
    print_plan(plan, console)
    profile = Path(args.profile) if args.profile else PROFILES / args.executor
    if plan.todo:
        jobs = args.jobs or (matrix.jobs if gpus == [] else None)
        code = run_plan(plan, profile.absolute(), jobs, gpus)
    else:
        clean_up_if_idle(plan)
        code = 0
    after = make_plan(matrix, resolver, replace(settings, rerun_stale=False, retry_failed=False))
    print_summary(after, console)
    for folder in draw_boards(after, settings.tools):
        console.print(f"board: {folder / 'leaderboard.md'}", markup=False, soft_wrap=True)
    unfinished = [job for job in after.jobs if job.id in plan.todo and job.state != "done"]
    if code and not any(job.state == "failed" for job in unfinished):
        log = sweep_folder(matrix) / "snakemake.log"
        console.print(f"snakemake ended with code {code}, see {log}", soft_wrap=True)
    return int(bool(code or unfinished or plan.waiting()))


def main() -> int:
    args = _parser().parse_args()
    if args.command == "job":
        from benchmark.sweep.worker import run_job

        return run_job(args.description)
    return _run(args)


if __name__ == "__main__":
    _cli.run(main)

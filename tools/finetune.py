#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Fine-tune a method's encoder on a dataset, once per seed, and write one record per run.

A finished run is kept and an interrupted one resumed: the same command again completes what is
missing.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from typing import Any

import _cli
import _records

from benchmark.errors import InputError


def arguments() -> argparse.Namespace:
    parser = _cli.Parser(description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--method",
        help="a folder of configs/, analysis-NAME for configs/analysis/NAME.py, or the path of a "
        "config that has been pre-trained",
    )
    which.add_argument(
        "--encoder", metavar="DIR", help="an exported encoder, for example work_dirs/my_encoder"
    )
    parser.add_argument("--dataset", required=True, help="a file of configs/downstream/")
    _records.add_record_options(parser, "keep them and resume interrupted runs")
    _records.add_label_options(parser)
    parser.add_argument(
        "--lora",
        action="store_true",
        help="freeze the encoder and train low-rank updates of it, as a dataset of its own "
        "(DATASET-lora; --cfg-options lora.rank=8)",
    )
    parser.add_argument("--live", action="store_true", help=_cli.LIVE_HELP)
    parser.add_argument(
        "--print-config", action="store_true", help="print the resolved config, as a config file"
    )
    return parser.parse_args()


def main() -> None:
    args = arguments()
    from benchmark.downstream.preview import find_method, preview_cell
    from benchmark.method_cards import card_of_encoder
    from benchmark.openmmlab.quiet import quiet_libraries
    from benchmark.results import labelled_id

    work = _cli.work_folder(args)
    # Loading the libraries takes seconds; cheap checks come first.
    if args.method:
        method = find_method(args.method, Path(args.configs), work)
    else:
        method = Path(args.encoder)
    if isinstance(method, Path):
        card_of_encoder(method)
    results = _records.results_folder(args, work)
    data = Path(args.data) if args.data else None
    cell = (Path(args.configs), method, args.dataset, args.protocol, args.cfg_options)
    counts = tuple(dict.fromkeys(args.label_count or ()))
    if args.print_config and len(counts) > 1:
        raise InputError("--print-config: prints one config; give one --label-count")
    preview_cell(*cell, work, data, not args.print_config, counts, args.lora)

    with quiet_libraries():
        from benchmark.downstream.compose import compose

    place = (args.scale, args.cfg_options, work, args.protocol, args.lora)
    config, card = compose(Path(args.configs), method, args.dataset, *place)
    if args.data:
        config.data.folder = args.data
    if args.label_fraction is not None:
        config.label_fraction = args.label_fraction
    kind = "lora" if config.get("lora") else "fine-tuning"
    columns: dict[str, Any] = {}  # dataset id → config
    for count in counts or (config.get("label_count"),):
        own = copy.deepcopy(config)
        if count is not None:
            own.label_count = count
        # However they were set, scores of fewer labels or of LoRA have a column of their own.
        columns[labelled_id(args.dataset, own.label_fraction, count, kind)] = own
    if args.print_config:
        from benchmark.training.config_source import print_config

        print_config(own)
        return
    with quiet_libraries():
        from benchmark.downstream.cell import BenchmarkCell
        from benchmark.downstream.finetune import run_cell
    from benchmark.training.checkpoints.run_files import cell_folder

    cells = [
        BenchmarkCell(
            own,
            card,
            dataset,
            seed,
            cell_folder(work, args.protocol, card.method, dataset, seed),
            results,
            args.live,
        )
        for dataset, own in columns.items()
        for seed in args.seed
    ]
    _records.check_cells(cells, args, config.task)
    for cell in cells:
        run_cell(cell, args.overwrite)


def after_interrupt() -> str:
    """Advice after Ctrl-C, which saves nothing: a run resumes from its newest checkpoint."""
    starts_over = arguments().overwrite == "always"
    return "the same command again " + (
        "starts over" if starts_over else "continues after the newest checkpoint"
    )


if __name__ == "__main__":
    _cli.run(main, after_interrupt)

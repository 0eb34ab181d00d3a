#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Evaluate exported encoders with frozen weights, within minutes.

    tools/evaluate.py linear --method mae vasomim --dataset dca1 --seed 0 1 2 3 4
    tools/evaluate.py knn --encoder work_dirs/mae/pretrain --dataset dca1

linear: a batch norm and one linear layer on patch features are trained for segmentation.
knn: vessel patches are found by their nearest neighbours among training patches.
One record per encoder and seed. A finished record is kept, and features are extracted once per
encoder and dataset.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import _cli
import _records

from benchmark.training.distributed.signals import StopAtOnce

_WORDS = {
    "linear": "batch norm and one linear layer on frozen patch features, for segmentation",
    "knn": "vessel patches by their nearest neighbours among training patches",
}


def arguments() -> argparse.Namespace:
    parser = _cli.Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="PROTOCOL")
    for kind, words in _WORDS.items():
        _add_options(kinds.add_parser(kind, help=words, description=f"{words.capitalize()}."))
    return parser.parse_args()


def _add_options(one: argparse.ArgumentParser) -> None:
    _records.add_encoder_options(one)
    one.add_argument("--dataset", required=True, help="a segmentation of configs/downstream/")
    _records.add_record_options(one)
    _records.add_label_options(one)
    one.add_argument(
        "--print-config",
        action="store_true",
        help="print the resolved config of the first record, as a config file",
    )


def main() -> None:
    args = arguments()
    with StopAtOnce():
        evaluate(args)


def evaluate(args: argparse.Namespace) -> None:
    from benchmark.downstream.frozen.preview import preview_frozen, settings_of
    from benchmark.openmmlab.quiet import quiet_libraries

    work, configs = _cli.work_folder(args), Path(args.configs)
    data = Path(args.data) if args.data else None
    options = list(args.cfg_options)
    if args.label_fraction is not None:
        options.append(f"label_fraction={args.label_fraction!r}")
    counts = tuple(dict.fromkeys(args.label_count or ()))
    # Loading the libraries takes seconds; cheap checks come first.
    methods = _records.find_encoders(args, configs, work)
    results = _records.results_folder(args, work)
    settings = settings_of(args.kind, configs)
    for method in methods:
        preview_frozen(
            configs,
            method,
            args.dataset,
            args.protocol,
            options,
            work,
            data,
            settings,
            inputs=not args.print_config,
            label_counts=counts,
        )

    with quiet_libraries():
        from benchmark.downstream.cell import BenchmarkCell
        from benchmark.downstream.frozen.cell import evaluate_cell
        from benchmark.downstream.frozen.compose import compose_frozen
    from benchmark.results import labelled_id
    from benchmark.training.checkpoints.run_files import cell_folder, features_folder
    from benchmark.training.config_source import print_config

    cells = []
    for method, count in product(methods, counts or (None,)):
        for seed in args.seed:
            place = (configs, method, args.dataset, args.scale, options, work, args.protocol)
            config, card = compose_frozen(settings, *place)
            if args.data:
                config.data.folder = args.data
            if count is not None:
                config.label_count = count
            if args.print_config:
                print_config(config)
                return
            labels = config.label_fraction, config.get("label_count")
            dataset = labelled_id(args.dataset, *labels, args.kind)
            folder = cell_folder(work, args.protocol, card.method, dataset, seed)
            cells.append(BenchmarkCell(config, card, dataset, seed, folder, results))
    _records.check_cells(cells, args, "segmentation")
    for cell in cells:
        features = features_folder(work, args.protocol, cell.card.method, args.dataset)
        evaluate_cell(args.kind, cell, features, args.overwrite)


if __name__ == "__main__":
    _cli.run(main)

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

from benchmark.files import OVERWRITE_POLICIES, require_place
from benchmark.type_hints import Count, Seed, Share

_WORDS = {
    "linear": "batch norm and one linear layer on frozen patch features, for segmentation",
    "knn": "vessel patches by their nearest neighbours among training patches",
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="PROTOCOL")
    for kind, words in _WORDS.items():
        _add_options(kinds.add_parser(kind, help=words, description=f"{words.capitalize()}."))
    return parser.parse_args()


def _add_options(one: argparse.ArgumentParser) -> None:
    which = one.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--method",
        nargs="+",
        default=[],
        metavar="NAME",
        help="folders of configs/, or paths of configs that have been pre-trained",
    )
    which.add_argument(
        "--encoder", nargs="+", default=[], metavar="DIR", help="folders of exported encoders"
    )
    one.add_argument("--dataset", required=True, help="a segmentation of configs/downstream/")
    one.add_argument(
        "--seed", type=_cli.number(Seed), nargs="+", default=[0], help="seeds (default: 0)"
    )
    _cli.add_run_options(one)
    one.add_argument(
        "--protocol",
        metavar="NAME",
        help="a folder of configs/downstream/ (default: none, journal)",
    )
    one.add_argument("--data", metavar="DIR", help="prepared task (default: the config's)")
    labels = one.add_mutually_exclusive_group()
    labels.add_argument(
        "--label-fraction",
        type=_cli.number(Share),
        metavar="F",
        help="use the labels of this share of the patients' frames only, as a dataset of its own "
        "(0.1: DATASET-10pct)",
    )
    labels.add_argument(
        "--label-count",
        type=_cli.number(Count),
        nargs="+",
        metavar="N",
        help="use the labels of this many images only, which the seed draws, as a dataset of its "
        "own (5: DATASET-5images); several, one after the other",
    )
    one.add_argument("--results", metavar="DIR", help="records (default: WORK/results)")
    one.add_argument(
        "--overwrite",
        choices=OVERWRITE_POLICIES,
        nargs="?",
        const="always",
        default="only-missing",
        help="existing records: keep them (only-missing, the default), replace them (always, also "
        "without a value), or stop (never)",
    )
    one.add_argument(
        "--print-config",
        action="store_true",
        help="print that of the first record, resolved, as a config file",
    )
    one.add_argument("--configs", default=str(_cli.ROOT / "configs"), help=argparse.SUPPRESS)


def main() -> None:
    args = arguments()
    from benchmark.downstream.frozen.preview import preview_frozen, settings_of
    from benchmark.downstream.preview import find_method
    from benchmark.method_cards import card_of_encoder
    from benchmark.quiet import quiet_libraries

    work, configs = _cli.work_folder(args), Path(args.configs)
    data = Path(args.data) if args.data else None
    options = list(args.cfg_options)
    if args.label_fraction is not None:
        options.append(f"label_fraction={args.label_fraction!r}")
    counts = tuple(dict.fromkeys(args.label_count or ()))
    methods = [find_method(name, configs, work) for name in args.method]
    methods = methods or list(map(Path, args.encoder))
    # Loading the libraries takes seconds; what is cheap to find is reported before.
    results = Path(args.results) if args.results else work / "results"
    require_place(results)
    for method in methods:
        if isinstance(method, Path):
            card_of_encoder(method)
        preview_frozen(
            configs,
            method,
            args.dataset,
            args.protocol,
            options,
            work,
            data,
            settings_of(args.kind, configs),
            inputs=not args.print_config,
            label_counts=counts,
        )

    with quiet_libraries():
        from benchmark.data.tasks import TaskFolder
        from benchmark.downstream.cell import FineTuningRun, refuse_finished
        from benchmark.downstream.compose import refuse_other_dataset
        from benchmark.downstream.frozen.cell import evaluate_cell
        from benchmark.downstream.frozen.compose import compose_evaluation
    from benchmark.results import labelled_id
    from benchmark.training.checkpoints.run_files import cell_folder, features_folder
    from benchmark.training.config_source import print_config

    cells = []
    for method, count in product(methods, counts or (None,)):
        for seed in args.seed:
            config, card = compose_evaluation(
                args.kind, configs, method, args.dataset, args.scale, options, work, args.protocol
            )
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
            cells.append(FineTuningRun(config, card, dataset, seed, folder, results))
    task = TaskFolder.open(cells[0].config.data.folder, "segmentation")
    refuse_other_dataset(configs, args.dataset, task)
    if args.overwrite == "never":
        # Before the first one has been evaluated, not after.
        for cell in cells:
            refuse_finished(cell)
    for cell in cells:
        features = features_folder(work, args.protocol, cell.card.method, args.dataset)
        evaluate_cell(args.kind, cell, features, args.overwrite)


if __name__ == "__main__":
    _cli.run(main)

#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Analyse exported encoders.

    tools/analyse.py representations --method mae vasomim --dataset xcav
    tools/analyse.py representations --encoder work_dirs/mae/pretrain --dataset xcav --plot mae.pdf

representations: how well patch features separate vessels from background, as one record per encoder
and seed. A finished record is kept: the same command again completes what is missing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import _cli

from benchmark.files import OVERWRITE_POLICIES, require_place
from benchmark.type_hints import Seed


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    words = "clusters of vessel and background patches, and a linear probe"
    one = kinds.add_parser("representations", help=words, description=words.capitalize() + ".")
    which = one.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--method", nargs="+", default=[], metavar="NAME", help="folders of configs/"
    )
    which.add_argument(
        "--encoder", nargs="+", default=[], metavar="DIR", help="folders of exported encoders"
    )
    one.add_argument("--dataset", required=True, help="a segmentation of configs/downstream/")
    one.add_argument(
        "--split", choices=("train", "val", "test"), help="frames to analyse (default: train)"
    )
    one.add_argument(
        "--projection",
        choices=("tsne", "umap"),
        help="to two dimensions (default: the protocol's, t-SNE for journal and UMAP for aaai)",
    )
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
        "--plot",
        metavar="FILE",
        type=Path,
        help="draw the projected patches, one panel per encoder, of the first seed: .png, .svg "
        "or .pdf",
    )
    one.add_argument("--configs", default=str(_cli.ROOT / "configs"), help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    args = arguments()
    from benchmark.downstream.preview import find_method
    from benchmark.downstream.representation.preview import preview_representation
    from benchmark.method_cards import card_of_encoder
    from benchmark.quiet import quiet_libraries
    from benchmark.visualization.figure_files import figure_format

    work, configs = _cli.work_folder(args), Path(args.configs)
    data = Path(args.data) if args.data else None
    options = list(args.cfg_options)
    options += [f"{key}={value}" for key in ("split", "projection") if (value := vars(args)[key])]
    methods = [find_method(name, configs, work) for name in args.method]
    methods = methods or list(map(Path, args.encoder))
    # Loading the libraries takes seconds; what is cheap to find is reported before.
    results = Path(args.results) if args.results else work / "results"
    require_place(results)
    if args.plot:
        figure_format(args.plot)
    for method in methods:
        if isinstance(method, Path):
            card_of_encoder(method)
        preview_representation(configs, method, args.dataset, args.protocol, options, work, data)

    with quiet_libraries():
        from benchmark.data.tasks import TaskFolder
        from benchmark.downstream.cell import FineTuningRun, refuse_finished
        from benchmark.downstream.compose import refuse_other_dataset
        from benchmark.downstream.representation.analysis import analyse_cell, points_of
        from benchmark.downstream.representation.compose import compose_representation
    from benchmark.results import patches_of
    from benchmark.training.checkpoints.run_files import cell_folder

    cells = []
    for method in methods:
        for seed in args.seed:
            config, card = compose_representation(
                configs, method, args.dataset, args.scale, options, work, args.protocol
            )
            if args.data:
                config.data.folder = args.data
            dataset = patches_of(args.dataset, config.split)
            folder = cell_folder(work, args.protocol, card.method, dataset, seed)
            cells.append(FineTuningRun(config, card, dataset, seed, folder, results))
    task = TaskFolder.open(cells[0].config.data.folder, "segmentation")
    refuse_other_dataset(configs, args.dataset, task)
    if args.overwrite == "never":
        # Before the first one has been analysed, not after.
        for cell in cells:
            refuse_finished(cell)
    records = [analyse_cell(cell, args.overwrite) for cell in cells]
    if args.plot:
        from benchmark.visualization.patch_scatter import draw_patches

        shown = zip(cells[:: len(args.seed)], records[:: len(args.seed)])
        print(
            draw_patches([(record, points_of(cell, record)) for cell, record in shown], args.plot)
        )


if __name__ == "__main__":
    _cli.run(main)

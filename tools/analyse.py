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
import _records


def arguments() -> argparse.Namespace:
    parser = _cli.Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    words = "clusters of vessel and background patches, and a linear probe"
    one = kinds.add_parser("representations", help=words, description=words.capitalize() + ".")
    _records.add_encoder_options(one)
    one.add_argument("--dataset", required=True, help="a segmentation of configs/downstream/")
    one.add_argument(
        "--split", choices=("train", "val", "test"), help="frames to analyse (default: train)"
    )
    one.add_argument(
        "--projection",
        choices=("tsne", "umap"),
        help="to two dimensions (default: the protocol's, t-SNE for journal and UMAP for aaai)",
    )
    _records.add_record_options(one)
    one.add_argument(
        "--plot",
        metavar="FILE",
        type=Path,
        help="draw the projected patches, one panel per encoder, of the first seed: .png, .svg "
        "or .pdf",
    )
    return parser.parse_args()


def main() -> None:
    args = arguments()
    from benchmark.downstream.frozen.preview import preview_representation
    from benchmark.openmmlab.quiet import quiet_libraries
    from benchmark.visualization.figure_files import figure_format

    work, configs = _cli.work_folder(args), Path(args.configs)
    data = Path(args.data) if args.data else None
    options = list(args.cfg_options)
    options += [f"{key}={value}" for key in ("split", "projection") if (value := vars(args)[key])]
    # Loading the libraries takes seconds; cheap checks come first.
    methods = _records.find_encoders(args, configs, work)
    results = _records.results_folder(args, work)
    if args.plot:
        figure_format(args.plot)
    for method in methods:
        preview_representation(configs, method, args.dataset, args.protocol, options, work, data)

    with quiet_libraries():
        from benchmark.downstream.cell import BenchmarkCell
        from benchmark.downstream.frozen.compose import compose_representation
        from benchmark.downstream.representation.analysis import analyse_cell, points_of
    from benchmark.results import DatasetId
    from benchmark.training.checkpoints.run_files import cell_folder

    cells = []
    for method in methods:
        for seed in args.seed:
            config, card = compose_representation(
                configs, method, args.dataset, args.scale, options, work, args.protocol
            )
            if args.data:
                config.data.folder = args.data
            dataset = DatasetId(args.dataset, "patches", split=config.split).text
            folder = cell_folder(work, args.protocol, card.method, dataset, seed)
            cells.append(BenchmarkCell(config, card, dataset, seed, folder, results))
    _records.check_cells(cells, args, "segmentation")
    records = [analyse_cell(cell, args.overwrite) for cell in cells]
    if args.plot:
        from benchmark.visualization.patch_scatter import draw_patches

        shown = zip(cells[:: len(args.seed)], records[:: len(args.seed)])
        print(
            draw_patches([(record, points_of(cell, record)) for cell, record in shown], args.plot)
        )


if __name__ == "__main__":
    _cli.run(main)

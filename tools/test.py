#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Score a fine-tuned model on another data set than the one it was trained on.

    tools/test.py work_dirs/mae/finetune/arcade_v/seed0 --dataset xcav
    tools/test.py model_folder --dataset my_vessels --data prepared/my_vessels --split val

MODEL is the folder of model.json and model.safetensors, which tools/finetune.py leaves in its run.
The data set has to be prepared (tools/prepare_data.py), of the same task and with the same classes.
The record is of a kind of its own: protocol PROTOCOL-transfer, data set TRAINED-to-TESTED.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import _cli

from benchmark.type_hints import Count


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", metavar="MODEL", help="folder of a fine-tuned model")
    parser.add_argument(
        "--dataset", required=True, metavar="NAME", help="a file of configs/downstream/"
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="prepared task (default: the config's); NAME may be any then",
    )
    parser.add_argument(
        "--split", default="test", choices=("train", "val", "test"), help="default: test"
    )
    parser.add_argument(
        "--work", type=Path, default=Path("work_dirs"), metavar="DIR", help="default: work_dirs"
    )
    parser.add_argument(
        "--results", type=Path, metavar="DIR", help="records (default: WORK/transfer)"
    )
    parser.add_argument(
        "--batch-size",
        type=_cli.number(Count),
        metavar="N",
        help="frames at once (default: as the model was scored)",
    )
    _cli.add_device_option(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace an existing record")
    parser.add_argument(
        "--configs", type=Path, default=_cli.ROOT / "configs", help=argparse.SUPPRESS
    )
    return parser.parse_args()


def main() -> None:
    args = arguments()
    from benchmark.downstream.transfer.cell import plan_transfer
    from benchmark.errors import InputError

    # Loading the libraries takes seconds; what is cheap to find is reported before.
    results = args.results or args.work / "transfer"
    places = (args.work, results, args.data, args.split, args.configs)
    transfer = plan_transfer(args.model, args.dataset, *places)
    if transfer.record.exists() and not args.overwrite:
        raise InputError(f"{transfer.record}: there already; --overwrite replaces it")

    from benchmark.quiet import quiet_libraries

    with quiet_libraries():
        from benchmark.downstream.compose import refuse_other_dataset
        from benchmark.downstream.transfer.scoring import score_transfer

    refuse_other_dataset(args.configs, args.dataset, transfer.folder)
    score_transfer(transfer, args.batch_size)


if __name__ == "__main__":
    _cli.run(main)

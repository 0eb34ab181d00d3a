#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Score a fine-tuned model on another dataset, or on its own test split under corruptions.

    tools/test.py work_dirs/mae/finetune/arcade_v/seed0 --dataset xcav
    tools/test.py model_folder --dataset my_vessels --data prepared/my_vessels --split val
    tools/test.py work_dirs/mae/finetune/arcade_v/seed0 --corruptions

MODEL is the folder of model.json and model.safetensors, which tools/finetune.py leaves in its run.
Nothing is trained. The other dataset has to be prepared (tools/prepare_data.py), of the same task
and with the same classes. The corruptions are for segmentation: seven kinds at five severities each
(configs/_base_/corruptions.py). The dataset of the record is TRAINED-to-TESTED or
TRAINED-corruptions, beside those of fine-tuning.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import _cli

from benchmark.type_hints import Count


def arguments() -> argparse.Namespace:
    parser = _cli.Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL", help="folder of a fine-tuned model")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--dataset", metavar="NAME", help="a file of configs/downstream/")
    which.add_argument(
        "--corruptions", action="store_true", help="its own test split, corrupted in 35 ways"
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="prepared task (default: the config's); then NAME is arbitrary",
    )
    parser.add_argument(
        "--split",
        choices=("train", "val", "test"),
        help="split of the other dataset (default: test)",
    )
    _cli.add_work_options(parser)
    parser.add_argument(
        "--results", type=Path, metavar="DIR", help="records (default: WORK/results)"
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
    from benchmark.downstream.transfer.planning import plan_corruptions, plan_transfer
    from benchmark.errors import InputError
    from benchmark.files import check_output_folder

    # Loading the libraries takes seconds; cheap checks come first.
    work = _cli.work_folder(args)
    results = args.results or work / "results"
    check_output_folder(results)
    if args.dataset == "":
        raise InputError("--dataset: empty; name the dataset")
    places = (work, results, args.data)
    if args.dataset:
        test = plan_transfer(args.model, args.dataset, *places, args.split or "test", args.configs)
    elif args.split:
        raise InputError("--split: corruptions are those of the test split; remove it")
    else:
        test = plan_corruptions(args.model, *places, args.configs)
    if test.record.exists() and not args.overwrite:
        raise InputError(f"{test.record}: there already; --overwrite replaces it")

    from benchmark.openmmlab.quiet import quiet_libraries

    with quiet_libraries():
        from benchmark.downstream.compose import refuse_other_dataset
        from benchmark.downstream.transfer.corrupted import score_corruptions
        from benchmark.downstream.transfer.scoring import score_transfer

    if args.corruptions:
        score_corruptions(test, args.batch_size)
    else:
        refuse_other_dataset(args.configs, args.dataset, test.folder)
        score_transfer(test, args.batch_size)


if __name__ == "__main__":
    _cli.run(main)

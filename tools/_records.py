"""Shared by the tools that write a record for each encoder, dataset and seed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import _cli

from benchmark.files import OVERWRITE_POLICIES, check_output_folder
from benchmark.type_hints import Count, Seed, Share

if TYPE_CHECKING:
    from benchmark.downstream.cell import BenchmarkCell


def add_encoder_options(parser: argparse.ArgumentParser) -> None:
    """Which encoders are evaluated, see `find_encoders`."""
    which = parser.add_mutually_exclusive_group(required=True)
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


def add_record_options(parser: argparse.ArgumentParser, kept: str = "keep them") -> None:
    """Seeds, the prepared task, and where records go.

    Args:
        kept: what the policy ``only-missing`` does with existing records.
    """
    parser.add_argument(
        "--seed", type=_cli.number(Seed), nargs="+", default=[0], help="seeds (default: 0)"
    )
    _cli.add_run_options(parser)
    parser.add_argument(
        "--protocol",
        metavar="NAME",
        help="a folder of configs/downstream/ (default: none, journal)",
    )
    parser.add_argument("--data", metavar="DIR", help="prepared task (default: the config's)")
    parser.add_argument("--results", metavar="DIR", help="records (default: WORK/results)")
    parser.add_argument(
        "--overwrite",
        choices=OVERWRITE_POLICIES,
        nargs="?",
        const="always",
        default="only-missing",
        help=f"existing records: {kept} (only-missing, the default), replace them (always, also "
        "without a value), or stop (never)",
    )
    parser.add_argument("--configs", default=str(_cli.ROOT / "configs"), help=argparse.SUPPRESS)


def add_label_options(parser: argparse.ArgumentParser) -> None:
    """A share or numbers of the labels."""
    labels = parser.add_mutually_exclusive_group()
    labels.add_argument(
        "--label-fraction",
        type=_cli.number(Share),
        metavar="F",
        help="train with the labels of this share of the patients' frames only, as a dataset of "
        "its own (0.1: DATASET-10pct)",
    )
    labels.add_argument(
        "--label-count",
        type=_cli.number(Count),
        nargs="+",
        metavar="N",
        help="train with the labels of this many images only, which the seed draws, as a dataset "
        "of its own (5: DATASET-5images); several, one after the other",
    )


def results_folder(args: argparse.Namespace, work: Path) -> Path:
    """The folder of the records.

    Raises:
        InputError: a file blocks it.
    """
    folder = Path(args.results) if args.results else work / "results"
    check_output_folder(folder)
    return folder


def find_encoders(args: argparse.Namespace, configs: Path, work: Path) -> list[str | Path]:
    """Ids of methods, or folders of exported encoders.

    Raises:
        InputError: there is no such method or encoder.
    """
    from benchmark.downstream.preview import find_method
    from benchmark.method_cards import card_of_encoder

    found = [find_method(name, configs, work) for name in args.method]
    found = found or list(map(Path, args.encoder))
    for method in found:
        if isinstance(method, Path):
            card_of_encoder(method)
    return found


def check_cells(cells: Sequence[BenchmarkCell], args: argparse.Namespace, task: str) -> None:
    """Report what would stop one of the cells, before the first one is run.

    Args:
        cells: of one dataset.
        args: has `configs`, `dataset` and `overwrite`.
        task: kind of the prepared task.

    Raises:
        InputError: the prepared task is missing, damaged or of another dataset; or a record exists
            under the policy ``never``.
    """
    from benchmark.data.tasks import TaskFolder
    from benchmark.downstream.cell import refuse_finished
    from benchmark.downstream.compose import refuse_other_dataset

    folder = TaskFolder.open(cells[0].config.data.folder, task)
    refuse_other_dataset(Path(args.configs), args.dataset, folder)
    if args.overwrite == "never":
        for cell in cells:
            refuse_finished(cell)

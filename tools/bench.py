#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Time parts of the benchmark against an independent reference, both in one run."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import tempfile
from typing import Annotated, Any

from _cli import ROOT, SCALES, Parser, number, run

from benchmark.training.config_keys import FINETUNE_KEYS, PRETRAIN_KEYS, read_option
from benchmark.type_hints import Count, Natural, Positive, Range

COUNT = number(Count)
# What more than one part takes, by name.
OPTIONS: dict[str, dict[str, Any]] = {
    "--frames": dict(type=COUNT, help="number of frames (%(default)s)"),
    "--size": dict(type=COUNT, help="height and width of the frames in pixels (%(default)s)"),
    "--view": dict(type=COUNT, default=224, help="side of the views in pixels (%(default)s)"),
    "--scale": dict(
        choices=tuple(SCALES), default="small", help="scale of the configs (%(default)s)"
    ),
    "--batch": dict(type=COUNT, help="frames per step (%(default)s)"),
    "--steps": dict(type=COUNT, default=2, help="steps of one timing (%(default)s)"),
    "--repeats": dict(
        type=COUNT, help="timings per side, of which the medians count (%(default)s)"
    ),
    "--threads": dict(
        type=number(Natural), help="CPU threads, for both; 0: as torch chooses (%(default)s)"
    ),
    "--device": dict(choices=("cpu", "cuda"), help="where our side runs (%(default)s)"),
    "--images": dict(metavar="FOLDER", help="PNG frames below it (default: synthetic ones)"),
    "--method": dict(default="mae", help="a folder of configs/ (%(default)s)"),
    "--cfg-options": dict(
        nargs="+", default=[], metavar="KEY=VALUE", help="settings, such as resident=False"
    ),
    "--out": dict(
        metavar="CSV", help="also write a CSV; in a folder, its name says machine and precision"
    ),
}
PARTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "anatomy": (
        "benchmark.speed.anatomy:bench_anatomy",
        "vessel masks against scikit-image, which runs on the CPU",
        {"frames": 20, "size": 512, "threads": 1, "repeats": 3, "images": None, "device": "cpu"},
    ),
    "segmentor": (
        "benchmark.speed.segmentor:bench_segmentor",
        "the frozen segmentor of VasoMIM against the same network layer by layer in torch",
        {"batch": 16, "view": 224, "threads": 1, "repeats": 11},
    ),
    "pack": (
        "benchmark.speed.packs:bench_pack",
        "building packs on one core, against decoding the same files alone",
        {"frames": 256, "size": 512, "repeats": 3, "images": None},
    ),
    "loader": (
        "benchmark.speed.views:bench_views",
        "reading frames, alone and with views, on one core, against PIL and torchvision on PNGs",
        {"frames": 64, "size": 512, "view": 224, "batch": 32, "repeats": 5},
    ),
    "views": (
        "benchmark.speed.views:bench_views",
        "views of frames in memory, on one core, against PIL and torchvision",
        {"frames": 64, "size": 512, "view": 224, "batch": 32, "repeats": 5},
    ),
    "step": (
        "benchmark.speed.steps:bench_step",
        "the step of the harness against a loop written by hand, and loading against none",
        {"method": "mae", "frames": 64, "size": 256, "batch": 16, "repeats": 7, "threads": 0},
    ),
    "pretrain": (
        "benchmark.speed.pretraining:bench_pretrain",
        "training steps of all methods against MAE's; MAE end to end against mmpretrain's",
        {"batch": 16, "repeats": 5, "threads": 0},
    ),
    "probe": (
        "benchmark.speed.probe:bench_probe",
        "the linear probe of a pre-training against its steps",
        {"frames": 128, "size": 256, "batch": 16, "repeats": 5, "threads": 0},
    ),
    "finetune": (
        "benchmark.speed.finetuning:bench_finetune",
        "fine-tuning for segmentation against mmsegmentation on mmengine's Runner",
        {"method": "mae", "frames": 32, "size": 256, "batch": 8, "repeats": 5, "threads": 0},
    ),
    "leaderboard": (
        "leaderboard.bench:bench_leaderboard",
        "regenerating the board from its result files against plain pandas and scipy",
        {"repeats": 3},
    ),
    "resume": (
        "benchmark.speed.resume:bench_resume",
        "resuming in the middle of a long run against starting it",
        {"frames": 171_478, "repeats": 3},
    ),
    "scaling": (
        "benchmark.speed.scaling.report:bench_scaling",
        "cost of the journal's board on 1, 8 and 64 GPUs, by arithmetic: nothing is run",
        {},
    ),
}
AGAINST_MMPRETRAIN = "benchmark.speed.mmpretrain:bench_against_mmpretrain"
# Parts of a run, whose libraries print messages when they are imported.
_RUNS = ("step", "pretrain", "probe", "finetune", "resume")
_WITH_CONFIG = ("step", "pretrain", "probe", "finetune")


def parse() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True)
    for name, (_, text, defaults) in PARTS.items():
        part = parts.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        for option, default in defaults.items():
            settings = {**OPTIONS[f"--{option}"], "default": default}
            if option == "threads" and default:  # a part that does not take 0
                settings |= {"type": COUNT, "help": "CPU threads, for both (%(default)s)"}
            part.add_argument(f"--{option}", **settings)
        if name in _WITH_CONFIG:
            for option in ("--scale", "--steps", "--cfg-options"):
                part.add_argument(option, **OPTIONS[option])
        if name != "scaling":  # which measures nothing
            part.add_argument("--out", **OPTIONS["--out"])
    _add_to_pretrain(parts.choices["pretrain"])
    _add_to_scaling(parts.choices["scaling"])
    parts.choices["probe"].add_argument(
        "methods", nargs="+", metavar="METHOD", help="folders of configs/"
    )
    counts = (("methods", 30, 2), ("datasets", 8, 1), ("seeds", 5, 2), ("examples", 4, 0))
    for option, default, least in counts:
        kind = number(Annotated[int, Range(least=least)])
        parts.choices["leaderboard"].add_argument(
            f"--{option}", type=kind, default=default, help="how many (%(default)s)"
        )
    return parser.parse_args()


def _add_to_pretrain(pretrain: argparse.ArgumentParser) -> None:
    pretrain.add_argument("methods", nargs="*", metavar="METHOD", help="folders of configs/ [all]")
    pretrain.add_argument(
        "--reference",
        choices=("mae", "mmpretrain"),
        default="mae",
        help="mae: the steps of all methods; mmpretrain: MAE from frames to step (%(default)s)",
    )
    pretrain.add_argument(
        "--mae-options",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="settings of the MAE that is compared with, for example method.masking.ratio=0.5",
    )
    for option, default in (("--frames", 64), ("--size", 256)):
        text = OPTIONS[option]["help"] + ", with --reference mmpretrain"
        pretrain.add_argument(option, type=COUNT, default=default, help=text)


def _add_to_scaling(scaling: argparse.ArgumentParser) -> None:
    lists = (
        ("gpus", (1, 8, 64), "numbers of GPUs"),
        ("frames", (171_478, 10**7), "sizes of packs"),
    )
    for option, default, text in lists:
        scaling.add_argument(
            f"--{option}", nargs="+", type=COUNT, default=default, help=f"{text} %(default)s"
        )
    scaling.add_argument(
        "--epochs", type=COUNT, default=800, help="epochs of every pre-training (%(default)s)"
    )
    scaling.add_argument(
        "--tflops",
        nargs="+",
        type=number(Positive),
        metavar="RATE",
        help="10^12 FLOP/s that a GPU sustains in pre-training (default: what VasoMIM's published "
        "run did, and a faster card); the rates of the fine-tunings stay those of docs/sweep.md",
    )
    scaling.add_argument("--write", metavar="FILE", help="replace the generated tables in FILE")
    scaling.add_argument("--out", metavar="CSV", help="also write every method's step as CSV")


def main() -> None:
    options = vars(parse())
    part = options.pop("part")
    function = PARTS[part][0]
    if part in ("loader", "views"):
        options["part"] = part
    if part in ("anatomy", "pack", "loader", "views"):
        options["count"] = options.pop("frames")
    if part in _WITH_CONFIG:
        for option in [*options["cfg_options"], *options.get("mae_options", ())]:
            read_option(option, FINETUNE_KEYS if part == "finetune" else PRETRAIN_KEYS)
        options.update(configs=ROOT / "configs", options=options.pop("cfg_options"))
    others = {
        key: options.pop(key) for key in ("method", "methods", "mae_options") if key in options
    }
    if part == "pretrain" and options.pop("reference") == "mmpretrain":
        function, others = AGAINST_MMPRETRAIN, {}
    elif part == "pretrain":
        options.update(frames=options["batch"], size=256)
    # Imported late: `--help` must not wait for torch.
    with contextlib.ExitStack() as stack:
        if part in _RUNS:
            from benchmark.openmmlab.quiet import quiet_libraries

            stack.enter_context(quiet_libraries())
        where, _, name = function.partition(":")
        bench = getattr(importlib.import_module(where), name)
    if part in _WITH_CONFIG:
        from benchmark.speed.steps import StepTiming

        options = {"trial": StepTiming(**options)}
    from benchmark.files import naming

    with naming(tempfile.gettempdir()):  # where most parts write what they measure
        bench(**others, **options)


if __name__ == "__main__":
    run(main)

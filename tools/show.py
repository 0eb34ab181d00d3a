#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Draw a contact sheet of a pack or run, logged quantities, corruptions, or masking ratios.

    tools/show.py work_dirs/packs/cadica --out cadica.png
    tools/show.py work_dirs/mae/pretrain work_dirs/vasomim/pretrain --curve loss --out loss.png
    tools/show.py configs/mae/pretrain.py configs/vasomim/pretrain.py work_dirs/hpm/pretrain \
        --masking-ratio --packs work_dirs/packs/cadica --out masking.pdf
    tools/show.py work_dirs/downstream/dca1 --corruptions --count 1 --out corruptions.png

Pack: frame, extracted vessels. Task: frame, annotations. Pre-training: view, vessels, probability
map, guidance, masked patches, reconstruction. Fine-tuning: frame, ground truth, prediction, and
their difference.
With --curve: one line per run, for example of loss or vessel_share.
With --corruptions: a frame of a pack or task under every corruption at every severity.
With --masking-ratio: how often each patch of some frames is masked over all epochs, one column per
config or run. Runs of AMT and HPM are needed, whose masks depend on trained weights.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import _cli

from benchmark.errors import InputError
from benchmark.type_hints import Count, Natural

# Options of the masking ratio, and those that do not apply to it.
_OF_MASKING = ("packs", "frames", "epochs", "crops", "cfg_options")
_OF_SHEETS = ("curve", "epoch", "corruptions")


def arguments() -> argparse.Namespace:
    parser = _cli.Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "path", nargs="+", metavar="PATH", help="folder of a pack or run; or a config"
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="image to write")
    parser.add_argument("--curve", metavar="TERM", help="draw this logged quantity instead")
    parser.add_argument(
        "--corruptions", action="store_true", help="draw frames of a pack or task under corruptions"
    )
    parser.add_argument(
        "--count",
        type=_cli.number(Count),
        help="number of frames (default: 6; masking ratio: 4; corruptions: 1)",
    )
    parser.add_argument(
        "--epoch", type=_cli.number(Natural), help="epoch of the masks (default: last)"
    )
    masking = parser.add_argument_group("masking ratio")
    masking.add_argument(
        "--masking-ratio", action="store_true", help="draw how often patches are masked; any format"
    )
    masking.add_argument("--packs", nargs="+", metavar="DIR", help="frame packs with anatomy")
    masking.add_argument(
        "--frames", nargs="+", metavar="ID", help="rows or paths of frames in the index of the pack"
    )
    masking.add_argument(
        "--epochs", type=_cli.number(Count), metavar="N", help="draw N epochs only, evenly spaced"
    )
    masking.add_argument(
        "--crops",
        action="store_true",
        help="masks of the random crops of training (default: of the complete frames)",
    )
    _cli.add_run_options(masking)
    return parser.parse_args()


def _draw_masking_ratio(args: argparse.Namespace) -> str:
    if not args.packs:
        raise InputError("--masking-ratio: name the frame packs with --packs DIR")
    work = _cli.work_folder(args)
    # Loading the libraries takes seconds; cheap checks come first.
    from benchmark.visualization.masking_inputs import check_inputs

    paths = check_inputs(args.path, args.packs, args.out, args.cfg_options, work)
    from benchmark.visualization.masking_ratio import draw_masking_ratio

    return draw_masking_ratio(
        paths,
        args.out,
        args.packs,
        frames=args.frames or (),
        count=args.count or 4,
        epochs=args.epochs,
        crops=args.crops,
        work=work,
        scale=args.scale,
        options=args.cfg_options,
    )


def main() -> None:
    args = arguments()
    for name in _OF_SHEETS if args.masking_ratio else _OF_MASKING:
        if getattr(args, name):
            needs = "does not go with" if args.masking_ratio else "needs"
            raise InputError(f"--{name.replace('_', '-')}: {needs} --masking-ratio")
    if args.masking_ratio:
        print(_draw_masking_ratio(args))
        return
    if args.curve:
        from benchmark.visualization.log_curves import draw_curves

        print(draw_curves(args.path, args.curve, args.out))
        return
    if len(args.path) > 1:
        raise InputError(f"{args.path[1]}: a sheet shows one folder; several need --curve TERM")
    # Loading the libraries takes seconds; cheap checks come first.
    from benchmark.visualization.sheet_kinds import sheet_kind

    kind = sheet_kind(Path(args.path[0]))
    if args.corruptions:
        if kind not in ("pack", "task"):
            raise InputError(f"{args.path[0]}: a {kind}; --corruptions draws a pack or a task")
        from benchmark.visualization.contact_sheets import draw_corruptions

        print(draw_corruptions(args.path[0], args.out, args.count or 1))
        return
    from benchmark.visualization.contact_sheets import draw_sheet

    print(draw_sheet(args.path[0], args.out, args.count or 6, args.epoch))


if __name__ == "__main__":
    _cli.run(main)

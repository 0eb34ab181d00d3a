#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Apply a fine-tuned model to frames.

    tools/predict.py work_dirs/mae/finetune/arcade_v/seed0 my_frames --out predictions
    tools/predict.py model_folder a.png run1.npz IM000001 --out predictions --probabilities

MODEL is the folder of model.json and model.safetensors, which tools/finetune.py leaves in its run.
FRAMES are images, npy, npz, avi, mp4 and mov videos, DICOM files, and folders of them. Everything
is written at the native size of the frames, with a row for each frame in predictions.csv. A frame
that cannot be read is skipped, and the exit code is 1 then.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import _cli

from benchmark.type_hints import Count, Rate


def arguments() -> argparse.Namespace:
    parser = _cli.Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL", help="folder of a fine-tuned model")
    parser.add_argument("frames", metavar="FRAMES", nargs="+", help="files and folders")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument(
        "--probabilities", action="store_true", help="also write maps of probabilities (npz)"
    )
    parser.add_argument("--no-overlays", action="store_true", help="write no overlays")
    parser.add_argument(
        "--min-score",
        type=_cli.number(Rate),
        default=0.5,
        metavar="S",
        help="boxes with a lower score are neither drawn nor counted as lesions (default: 0.5); "
        "boxes.json has all of them",
    )
    parser.add_argument(
        "--batch-size",
        type=_cli.number(Count),
        metavar="N",
        help="frames at once (default: as the model was scored)",
    )
    _cli.add_device_option(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    from benchmark.downstream.fine_tuned import read_model_description
    from benchmark.downstream.fine_tuned.description import model_folder
    from benchmark.downstream.prediction.frames import list_frames, refuse_inside
    from benchmark.downstream.prediction.outputs import Outputs
    from benchmark.files import check_output_folder
    from benchmark.files.contents import verify_export

    # Loading the libraries takes seconds; cheap checks come first.
    description = read_model_description(args.model)
    outputs = Outputs(args.out, description, args.probabilities, not args.no_overlays)
    check_output_folder(args.out)
    refuse_inside(args.out, args.frames)
    frames = list_frames(args.frames)
    if not args.overwrite:
        outputs.refuse_existing(frames)
    verify_export(model_folder(args.model) / "model.safetensors")

    from benchmark.openmmlab.quiet import quiet_libraries

    with quiet_libraries():
        from benchmark.downstream.fine_tuned.model import load_model
        from benchmark.downstream.prediction.run import predict_frames
        from benchmark.downstream.prediction.writing import PredictionWriter
    from benchmark.files.locking import hold_folder

    model = load_model(args.model)
    writer = PredictionWriter(outputs, args.min_score)
    with hold_folder(args.out, "being written"):
        skipped = predict_frames(model, frames, writer, args.batch_size or model.batch_size)
    count = f"{len(frames) - skipped} of {len(frames)}" if skipped else str(len(frames))
    print(f"{args.out}: {count} frames predicted by {description.provenance.title}", flush=True)
    return 1 if skipped else 0


if __name__ == "__main__":
    _cli.run(main, interrupted="run the same command again with --overwrite")

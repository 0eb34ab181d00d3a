#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Write an encoder or a fine-tuned segmentor as an ONNX file.

    tools/export_onnx.py work_dirs/vasomim/pretrain --out vasomim.onnx
    tools/export_onnx.py work_dirs/mae/finetune/arcade_v/seed0 --out vessels.onnx

SOURCE is the folder of an encoder (encoder.json) or of a fine-tuned model (model.json). The input
is frames, uint8 B×1×H×W of one size, 0 black; normalisation is in the file. Before the file gets
its name, ONNX Runtime, if installed, has to compute what torch does, to 1e-4.
"""

from __future__ import annotations

import argparse
import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import _cli

from benchmark.device import VARIABLE, hide_gpus
from benchmark.errors import InputError
from benchmark.type_hints import Count

if TYPE_CHECKING:
    from benchmark.encoders.onnx_export import OnnxReport

INSTALL = 'pip install "angio-ssl-bench[onnx]"'


def arguments() -> argparse.Namespace:
    parser = _cli.Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "source", metavar="SOURCE", help="folder of an encoder or of a fine-tuned model"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write")
    parser.add_argument(
        "--size",
        type=_cli.number(Count),
        metavar="N",
        help="side of an encoder's frames (default: as in pre-training)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    return parser.parse_args()


def write(source: Path, out: Path, size: int | None) -> OnnxReport:
    """Find out what the source is, and write it; what is cheap to refuse comes first."""
    from benchmark.downstream.fine_tuned import read_model_description
    from benchmark.downstream.fine_tuned.description import model_folder
    from benchmark.files.contents import verify_export

    folder = model_folder(source)
    if (folder / "model.json").is_file():
        task = read_model_description(folder).task
        if task != "segmentation":
            raise InputError(f"a model for {task}; encoders and segmentors can be written as ONNX")
        if size is not None:
            raise InputError("--size is for encoders; a segmentor keeps the size it was trained at")
        verify_export(folder / "model.safetensors")
        from benchmark.openmmlab.quiet import quiet_libraries

        with quiet_libraries():
            from benchmark.downstream.fine_tuned.model import load_model
            from benchmark.downstream.fine_tuned.onnx_export import write_segmentor_onnx
        return write_segmentor_onnx(out, load_model(folder))
    if not (folder / "encoder.json").is_file():
        raise InputError("neither a fine-tuned model (model.json) nor an encoder (encoder.json)")
    from benchmark.encoders.card import check_patches, read_encoder_card

    card = read_encoder_card(folder)
    if size is not None:
        check_patches(card, size)
    verify_export(folder / "encoder.safetensors")
    from benchmark.encoders.encoder import load_encoder
    from benchmark.encoders.onnx_export import write_encoder_onnx

    return write_encoder_onnx(out, *load_encoder(folder), size)


def main() -> None:
    args = arguments()
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise InputError(f"{missing[0]} is not installed; {INSTALL}")
    if args.out.is_dir() or (args.out.exists() and not args.overwrite):
        hint = "name a file in it" if args.out.is_dir() else "--overwrite replaces it"
        raise InputError(f"{args.out}: is there already; {hint}")
    # The comparison runs on the CPU; the file runs anywhere.
    os.environ[VARIABLE] = "cpu"
    hide_gpus()
    try:
        report = write(Path(args.source), args.out, args.size)
    except InputError as error:
        known = str(error).startswith(args.source)
        raise error if known else InputError(f"{args.source}: {error}") from None
    shapes = ", ".join(
        f"{name} {'×'.join(map(str, shape))}" for name, shape in report.outputs.items()
    )
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB, frames → {shapes}")
    if report.runtime is None:
        print(f"  not compared: onnxruntime is not installed; {INSTALL}")
    else:
        print(
            f"  ONNX Runtime {report.runtime} differs by {report.difference:.0e} of the largest "
            "value"
        )


if __name__ == "__main__":
    _cli.run(main)

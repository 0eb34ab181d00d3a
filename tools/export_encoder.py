#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Export an encoder for timm: config.json, model.safetensors, and a model card.

    tools/export_encoder.py work_dirs/vasomim/pretrain --out vasomim --results work_dirs/results
    python -c 'import timm; timm.create_model("local-dir:exports/vasomim", pretrained=True)'

The folder can be uploaded to a model hub unchanged. Before it is moved to its final name, it is
loaded with timm and its features are compared with ours.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import _cli

from benchmark.method_cards import require_encoder


def arguments() -> argparse.Namespace:
    parser = _cli.Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "source", metavar="RUN", help="folder of a finished pre-training run, or of any encoder"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="new folder to write")
    parser.add_argument(
        "--results", metavar="DIR", help="results; those of this encoder go into its card"
    )
    parser.add_argument(
        "--license", metavar="ID", help="licence of the weights, an SPDX id such as cc-by-4.0"
    )
    return parser.parse_args()


def main() -> None:
    args = arguments()
    source, out = Path(args.source), Path(args.out)
    require_encoder(source)
    from benchmark.encoders.model_card import model_card, scores_of
    from benchmark.encoders.timm_export import README, WRITTEN, open_export, write_timm
    from benchmark.files import write_text
    from benchmark.files.locking import new_folder

    with new_folder(out, WRITTEN) as folder:
        encoder, card = open_export(source)
        scores, problems = scores_of(card, Path(args.results)) if args.results else ([], [])
        write_timm(folder, source, encoder, card)
        text = model_card(source, card, out.name, scores, args.license)
        write_text(folder / README, text)
    for problem in problems:
        print(f"skipped: {problem}")
    print(f"{out}: timm loads it and finds equal features; {len(scores)} scores in its card")
    print(f'  timm.create_model("local-dir:{out.as_posix()}", pretrained=True)')


if __name__ == "__main__":
    _cli.run(main)

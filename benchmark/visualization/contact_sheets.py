"""Contact sheets of packs, of pre-training views, of predictions and of corrupted frames."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from PIL import Image

from benchmark.data.corruptions import SEVERITIES
from benchmark.data.packs import FramePack, open_packs
from benchmark.data.packs.loader import PackDataset
from benchmark.data.packs.reading import unpack_bits
from benchmark.data.tasks import TaskFolder
from benchmark.downstream.overlays import box_outlines, overlay
from benchmark.downstream.transfer.identity import read_corruptions
from benchmark.errors import InputError
from benchmark.files import atomic_write, read_json, read_object
from benchmark.method import Method, Progress
from benchmark.method_cards import CONFIGS
from benchmark.registry import build
from benchmark.training.checkpoints.checkpoint import newest_checkpoint
from benchmark.training.config import from_plain
from benchmark.training.hooks.reconstructions import spread, view_panels
from benchmark.training.train import IDENTITY
from benchmark.visualization.sheet_kinds import sheet_kind
from benchmark.visualization.task_sheets import task_rows
from benchmark.weights import load_strict

matplotlib.use("Agg")
from matplotlib import pyplot as plt

# One row of a sheet: column title → image, grayscale H×W in [0, 255] or RGB H×W×3.
SheetRow = dict[str, np.ndarray]

_MISSED = np.array([70, 130, 230], dtype=np.float32)
_FALSE = np.array([240, 190, 60], dtype=np.float32)
_MIN_SCORE = 0.5
# The symbols of the papers in titles.
_MEANINGS = {
    "B": "vessels extracted from the frame: vesselness above its α-th percentile, connected",
    "M": "probability of vessel by the segmentor",
    "f(G)": "share of the guidance G (B, M or their mixture) in each patch, scaled to its maximum",
}


def draw_sheet(path: str | Path, out: str | Path, count: int = 6, epoch: int | None = None) -> str:
    """Draw a sheet of a pack, a prepared task, a pre-training run or a fine-tuning run.

    Args:
        path: folder of a pack, a task or a run.
        out: PNG file to write.
        count: number of frames.
        epoch: epoch whose masks are shown (pre-training; default: the last one).

    Returns:
        One line of summary.

    Raises:
        InputError: no pack, task or run, nothing to draw, or `count` is below 1.
    """
    if count < 1:
        raise InputError(f"--count {count}: must be at least 1")
    path = Path(path)
    packs: Sequence[str | Path] = ()
    kind = sheet_kind(path)
    if kind == "pack":
        rows, packs = pack_rows(FramePack.open(path), count), [path]
    elif kind == "fine-tuned run":
        rows = prediction_rows(path, count)
    elif kind == "pre-training run":
        rows = pretraining_rows(path, count, epoch)
        packs = read_object(path / "run.json")["config"]["packs"]
    else:
        rows = task_rows(TaskFolder.open(path), count)
    save_sheet(rows, Path(out), extraction_alpha(packs))
    return f"{out}: {len(rows)} frames of the {kind} {path}"


def draw_corruptions(path: str | Path, out: str | Path, count: int = 1) -> str:
    """Draw frames clean and corrupted, a row for each corruption.

    Args:
        path: folder of a pack or of a prepared task.
        out: PNG file to write.
        count: number of frames, evenly spaced.

    Returns:
        One line of summary.

    Raises:
        InputError: the folder is neither a pack nor a task.
    """
    path = Path(path)
    if sheet_kind(path) == "pack":
        rows = pack_rows(FramePack.open(path), count)
    else:
        rows = task_rows(TaskFolder.open(path), count)
    # The first column of either is the frame that a model is shown.
    frames = [next(iter(row.values())) for row in rows]
    corruptions = read_corruptions(CONFIGS)
    lines, names = [], []
    for frame in frames:
        for name in corruptions.levels:
            line = {"clean": frame}
            for severity in range(1, SEVERITIES + 1):
                line[f"severity {severity}"] = corruptions.apply(frame, name, severity)
            lines.append(line)
            names.append(name.replace("_", " "))
    save_sheet(lines, Path(out), names=names)
    return f"{out}: {len(frames)} frames of {path}, corruptions: {len(corruptions.levels)}"


def pack_rows(pack: FramePack, count: int) -> list[SheetRow]:
    rows = []
    for index in spread(len(pack), count):
        height, width = pack.valid[index]
        row = {"frame": np.asarray(pack.frames[index])[:height, :width]}
        if pack.anatomy is not None:
            vessel = unpack_bits(pack.anatomy[index])[:height, :width]
            row["vessels B"] = overlay(row["frame"], vessel)
        rows.append(row)
    return rows


def prediction_rows(folder: Path, count: int) -> list[SheetRow]:
    """Test frames with the predictions of a fine-tuned run."""
    description = read_object(folder / "run.json") if (folder / "run.json").is_file() else {}
    if "data" not in description:
        raise InputError(f"{folder / 'run.json'}: does not say which data it was scored on")
    data = TaskFolder.open(description["data"])
    draw = {"segmentation": _masks, "detection": _boxes, "denoising": _denoised}[data.kind]
    stems = [item["stem"] for item in data.splits["test"]]
    chosen = [stems[index] for index in spread(len(stems), count)]
    return [draw(data, folder / "predictions", stem) for stem in chosen]


def _read_prediction(path: Path) -> np.ndarray:
    if not path.is_file():
        raise InputError(f"{path}: no such prediction; score the run again")
    return np.asarray(Image.open(path))


def _read_grayscale(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("L"))


def _masks(data: TaskFolder, predictions: Path, stem: str) -> SheetRow:
    prediction = _read_prediction(predictions / f"{stem}.png") > 0
    frame = _read_grayscale(data.image("test", stem))
    truth = np.asarray(Image.open(data.mask("test", stem))) > 0
    difference = overlay(frame, truth & prediction, np.array([90, 190, 110], np.float32))
    difference[truth & ~prediction] = _MISSED
    difference[~truth & prediction] = _FALSE
    return {
        "frame": frame,
        "truth": overlay(frame, truth),
        "prediction": overlay(frame, prediction),
        "hit / missed / false": difference,
    }


def _denoised(data: TaskFolder, predictions: Path, stem: str) -> SheetRow:
    result = _read_prediction(predictions / f"{stem}.png")
    clean = _read_grayscale(data.clean("test", stem))
    error = 4 * np.abs(result.astype(np.float32) - clean)
    return {
        "degraded": _read_grayscale(data.image("test", stem)),
        "denoised": result,
        "clean": clean,
        "error × 4": error.clip(0, 255).astype(np.uint8),
    }


def _boxes(data: TaskFolder, predictions: Path, stem: str) -> SheetRow:
    """Ground-truth boxes, and detections with a score of at least `_MIN_SCORE`."""
    path = predictions / "detections.json"
    if not path.is_file():
        raise InputError(f"{path}: no such prediction; score the run again")
    listed = read_json(data.coco("test"))
    (image,) = (entry for entry in listed["images"] if Path(entry["file_name"]).stem == stem)
    frame = _read_grayscale(data.image("test", stem))
    shown = {
        "truth": [b for b in listed["annotations"] if b["image_id"] == image["id"]],
        "detections": [
            b for b in read_json(path) if b["image_id"] == image["id"] and b["score"] >= _MIN_SCORE
        ],
    }
    return {
        "frame": frame,
        **{
            name: overlay(frame, box_outlines([b["bbox"] for b in boxes], frame.shape))
            for name, boxes in shown.items()
        },
    }


def load_run(folder: Path) -> tuple[Method, dict[str, Any], int]:
    """Load the method of a run from its newest checkpoint; with its config and finished epochs."""
    description = read_object(folder / "run.json")
    config = from_plain(description.get("config"))
    if not isinstance(config, dict) or "method" not in config:
        raise InputError(f"{folder / 'run.json'}: not a run of a method")
    identity = {key: description.get(key) for key in IDENTITY}
    checkpoint, problems = newest_checkpoint(folder, identity)
    for problem in problems.values():
        print(f"warning: {problem}; using the one before", file=sys.stderr)
    if checkpoint is None:
        raise InputError(f"{folder}: holds no checkpoint yet")
    method = build(config["method"])
    # A table with a row per frame is empty until it is allocated; its length is in the checkpoint.
    empty = (name for name, buffer in method.named_buffers() if not buffer.numel())
    if (table := checkpoint.model.get(next(empty, ""))) is not None:
        method.prepare(len(table))
    load_strict(method, checkpoint.model, folder / checkpoint.name)
    return method.eval(), config, checkpoint.epoch


@torch.no_grad()
def pretraining_rows(folder: Path, count: int, epoch: int | None) -> list[SheetRow]:
    method, config, done = load_run(folder)
    packs = open_packs(config["packs"])
    indices = spread(len(packs), count)
    epoch = done - 1 if epoch is None else epoch
    method.progress = Progress(seed=config["seed"], epoch=epoch, epochs=config["epochs"])
    batch = PackDataset(packs, packs.has_anatomy).__getitems__(indices)
    return _rows(view_panels(method, method.views(batch)["views"]))


def _rows(columns: dict[str, torch.Tensor]) -> list[SheetRow]:
    arrays = {name: values.clamp(0, 255).byte().numpy() for name, values in columns.items()}
    return [
        {name: values[number] for name, values in arrays.items()}
        for number in range(len(next(iter(arrays.values()))))
    ]


def save_sheet(
    rows: Sequence[SheetRow], out: Path, alpha: float | None = None, names: Sequence[str] = ()
) -> None:
    """Write a sheet as PNG.

    Args:
        rows: all with the columns of the first.
        out: the file.
        alpha: as for `legend`.
        names: names of the rows, beside them; empty for none.
    """
    titles = list(rows[0])
    side = 1.9
    figure, axes = plt.subplots(
        len(rows),
        len(titles),
        figsize=(side * len(titles), side * len(rows) + 0.3),
        squeeze=False,
        layout="constrained",
    )
    for line, row in zip(axes, rows):
        for axis, title in zip(line, titles):
            axis.imshow(row[title], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axis.axis("off")
    for axis, title in zip(axes[0], titles):
        axis.set_title(title, fontsize=9)
    for axis, name in zip(axes[:, 0], names):
        axis.text(
            -0.06,
            0.5,
            name,
            fontsize=9,
            rotation=90,
            transform=axis.transAxes,
            va="center",
            ha="right",
        )
    figure.supxlabel(legend(titles, alpha), fontsize=6)
    with atomic_write(out) as stream:
        # Without matplotlib's version in the metadata, equal images give equal files.
        figure.savefig(stream, format="png", dpi=110, metadata={"Software": None})
    plt.close(figure)


def legend(titles: Iterable[str], alpha: float | None = None) -> str:
    """The meanings of the symbols that titles end in, as ``"vessels B"``; a line each.

    Args:
        alpha: the percentile α of the extraction of B in 0…100; None where it is unknown.
    """
    last = [title.rpartition(" ")[2] for title in titles]
    text = "\n".join(f"{name}: {text}" for name, text in _MEANINGS.items() if name in last)
    known = "α-th percentile" if alpha is None else f"percentile α = {alpha:g}"
    return text.replace("α-th percentile", known)


def extraction_alpha(packs: Iterable[str | Path]) -> float | None:
    """The α with which the vessels of all these packs were extracted, as their manifests say.

    Returns:
        None where a manifest does not say, or they differ.

    Raises:
        InputError: a manifest cannot be read.
    """
    found = set()
    for pack in packs:
        anatomy = read_object(Path(pack) / "manifest.json").get("anatomy")
        parameters = anatomy.get("parameters") if isinstance(anatomy, dict) else None
        found.add(parameters.get("alpha") if isinstance(parameters, dict) else None)
    alpha = found.pop() if len(found) == 1 else None
    return alpha if isinstance(alpha, (int, float)) else None

"""Writing predictions: pictures for every frame, and the files about all of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from benchmark.data.tasks.coco import COCOFile, box_annotations
from benchmark.downstream.examples import save_picture
from benchmark.downstream.overlays import box_outlines, class_colour, overlay
from benchmark.downstream.prediction.frames import InputFrame
from benchmark.downstream.prediction.outputs import BOXES, TABLE, Outputs
from benchmark.downstream.segmentation.metrics import label_picture
from benchmark.downstream.task import Prediction
from benchmark.files import atomic_write, write_json, write_text

LESION = "stenosis"
"""The class whose regions a table counts as lesions."""

_TOUCHING = np.ones((3, 3), dtype=int)  # pixels that share a corner are of one region


class PredictionWriter:
    """Writes the predictions of frames as they come, and at the end the files about all of them.

    Args:
        outputs: files to write.
        min_score: boxes with a lower score are neither lesions nor drawn; `boxes.json` has them.
    """

    def __init__(self, outputs: Outputs, min_score: float = 0.5) -> None:
        self.outputs = outputs
        self.min_score = min_score
        self.classes = outputs.description.foreground
        self._rows: dict[str, dict[str, Any]] = {}
        self._coco = COCOFile(list(self.classes))

    def add(self, frame: InputFrame, pixels: np.ndarray, found: Prediction) -> None:
        """Write the files of a frame.

        Args:
            pixels: pixels of the frame, uint8 H×W.
        """
        row: dict[str, Any] = {"height": pixels.shape[0], "width": pixels.shape[1]}
        if found.masks is not None:
            row |= self._add_masks(frame, pixels, found)
        elif found.boxes is not None:
            row |= self._add_boxes(frame, pixels, found)
        else:
            save_picture(self.outputs.path("denoised", frame.name), found.denoised)
        kind = next(iter(self.outputs.kinds()), None)
        if kind is not None:
            file = self.outputs.path(kind, frame.name)
            row["output"] = file.relative_to(self.outputs.folder).as_posix()
        self._rows[frame.path] = row

    def refuse(self, frame: InputFrame, reason: str) -> None:
        """Note that a frame could not be read."""
        self._rows[frame.path] = {"error": reason}

    def finish(self, frames: Sequence[InputFrame]) -> None:
        """Write the table, with a row for each of the frames, and the boxes."""
        if self.outputs.description.task == "detection":
            write_json(self.outputs.folder / BOXES, self._coco.content)
        rows = [{"frame": frame.path, **self._rows[frame.path]} for frame in frames]
        columns = ["frame", "error", "height", "width", *self._measures(), "output"]
        stream = io.StringIO()
        table = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        write_text(self.outputs.folder / TABLE, stream.getvalue())

    def _measures(self) -> list[str]:
        """The columns of what was found."""
        task = self.outputs.description.task
        if task == "detection":
            return ["lesions", "best_score"]
        if task == "denoising":
            return []
        columns = [name for c in self.classes for name in (f"{c}_share", _regions(c))]
        return columns if len(self.classes) == 1 else ["all_share", *columns]

    def _add_masks(
        self, frame: InputFrame, pixels: np.ndarray, found: Prediction
    ) -> Mapping[str, Any]:
        picture = label_picture(found.masks)
        if picture.dtype == bool:
            picture = 255 * picture.astype(np.uint8)
        save_picture(self.outputs.path("masks", frame.name), picture)
        if self.outputs.probabilities:
            with atomic_write(self.outputs.path("probabilities", frame.name)) as stream:
                np.savez_compressed(
                    stream,
                    probabilities=found.probabilities.astype(np.float16),
                    classes=np.array(self.classes),
                )
        if self.outputs.overlays:
            drawn = pixels
            for label, mask in enumerate(found.masks):
                drawn = overlay(drawn, mask, class_colour(label))
            save_picture(self.outputs.path("overlays", frame.name), drawn)
        row: dict[str, Any] = {}
        if len(self.classes) > 1:
            row["all_share"] = _rounded(found.masks.any(axis=0).mean())
        for name, mask in zip(self.classes, found.masks):
            row[f"{name}_share"] = _rounded(mask.mean())
            row[_regions(name)] = ndimage.label(mask, _TOUCHING)[1]
        return row

    def _add_boxes(
        self, frame: InputFrame, pixels: np.ndarray, found: Prediction
    ) -> Mapping[str, Any]:
        rows = np.column_stack([found.boxes, found.labels])
        annotations = [
            {**one, "score": score}
            for one, score in zip(box_annotations(rows), found.scores.tolist())
        ]
        self._coco.add(frame.path, *pixels.shape, annotations)
        clear = [one for one in annotations if one["score"] >= self.min_score]
        if self.outputs.overlays:
            save_picture(self.outputs.path("overlays", frame.name), _with_boxes(pixels, clear))
        best = _rounded(found.scores.max()) if len(found.scores) else ""
        return {"lesions": len(clear), "best_score": best}


def _regions(name: str) -> str:
    return "lesions" if name == LESION else f"{name}_regions"


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def _with_boxes(pixels: np.ndarray, boxes: Sequence[dict[str, Any]]) -> np.ndarray:
    """The frame in RGB with boxes and their scores."""
    drawn = np.repeat(pixels[..., None], 3, axis=2)
    for box in boxes:
        outline = box_outlines([box["bbox"]], pixels.shape)
        drawn = overlay(drawn, outline, class_colour(box["category_id"] - 1))
    picture = Image.fromarray(drawn)
    pencil = ImageDraw.Draw(picture)
    for box in boxes:
        x, y = box["bbox"][:2]
        text = f"{box['score']:.2f}"
        pencil.text((x, max(0, y - 11)), text, fill=class_colour(box["category_id"] - 1))
    return np.asarray(picture)

"""Annotations in COCO's format, as pycocotools and mmdetection read them."""

from __future__ import annotations

from typing import Any

import numpy as np


def box_annotations(boxes: np.ndarray) -> list[dict[str, Any]]:
    """One annotation per box, without ids.

    Args:
        boxes: N×5, x0, y0, x1, y1 in pixels with exclusive edges, and the index of the class.
    """
    return [
        {
            "category_id": int(label) + 1,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": (x1 - x0) * (y1 - y0),
            "iscrowd": 0,
        }
        for x0, y0, x1, y1, label in boxes.tolist()
    ]


def mask_annotations(masks: np.ndarray) -> list[dict[str, Any]]:
    """One annotation per class present, as compressed RLE; exact, including overlaps.

    Args:
        masks: bool, C×H×W.
    """
    from pycocotools import mask as rle

    found = []
    for label in np.flatnonzero(masks.any(axis=(1, 2))).tolist():
        coded = rle.encode(np.asfortranarray(masks[label].astype(np.uint8)))
        found.append(
            {
                "category_id": label + 1,
                "bbox": [float(value) for value in rle.toBbox(coded)],
                "area": int(rle.area(coded)),
                "iscrowd": 0,
                "segmentation": {"size": coded["size"], "counts": coded["counts"].decode("ascii")},
            }
        )
    return found


class COCOFile:
    """The content of one annotation file, assembled frame by frame."""

    def __init__(self, names: list[str]) -> None:
        self.content: dict[str, list[dict[str, Any]]] = {
            "images": [],
            "annotations": [],
            "categories": [{"id": n, "name": name} for n, name in enumerate(names, start=1)],
        }

    def add(self, file: str, height: int, width: int, annotations: list[dict[str, Any]]) -> None:
        """Append the frame of a file and its annotations; ids count from 1."""
        images, entries = self.content["images"], self.content["annotations"]
        image_id = len(images) + 1
        images.append({"id": image_id, "file_name": file, "height": height, "width": width})
        for annotation in annotations:
            entries.append({"id": len(entries) + 1, "image_id": image_id, **annotation})

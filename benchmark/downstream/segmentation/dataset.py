"""A prepared segmentation folder as an mmsegmentation dataset with keyed randomness.

The truth travels through the transforms as one picture whose bit c says whether a pixel is of class
c. Nearest-neighbour transforms move bits unchanged, so that overlapping classes cost no more than
one.
"""

from __future__ import annotations

from functools import partial
from itertools import takewhile
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform, LoadImageFromFile, Resize
from mmseg.datasets import BaseSegDataset

from benchmark.data.tasks import TaskFolder
from benchmark.downstream.sampling import TaskDataset
from benchmark.errors import InputError
from benchmark.registry import TRANSFORMS
from benchmark.type_hints import Rate

CACHE_BYTES = 4 << 30
"""Maximum memory for decoded frames; those beyond it are read again each time."""

# Start of a dataset (task, split, first transforms) → its prepared frames by their stem.
_PREPARED: dict[tuple[Any, ...], dict[str, dict[str, Any]]] = {}
_held_bytes = 0


class SegmentationDataset(TaskDataset, BaseSegDataset):
    """One split of a segmentation folder, see `TaskDataset`.

    The results of the transforms before the first random one are kept in memory and shared by all
    datasets of the process whose pipelines begin alike, so that further epochs, seeds and label
    counts decode nothing.
    """

    def __init__(
        self,
        folder: TaskFolder,
        split: str,
        pipeline: list[Any],
        seed: int = 0,
        fraction: float = 1.0,
        count: int | None = None,
    ) -> None:
        steady = list(takewhile(lambda step: step["type"] in _STEADY, pipeline))
        key = (str(folder.path), folder.split_hash, split, repr(steady))
        self._prepared = _PREPARED.setdefault(key, {})
        self._steady = len(steady)
        metainfo = dict(classes=folder.classes)
        super().__init__(folder, split, pipeline, seed, fraction, count, metainfo=metainfo)

    def load_data_list(self) -> list[dict[str, Any]]:
        return [
            dict(
                img_path=str(self.folder.image(self.split, item["stem"])),
                reduce_zero_label=False,
                seg_fields=[],
            )
            for item in self.items
        ]

    def get_data_info(self, idx: int) -> dict[str, Any]:
        info = super().get_data_info(idx)
        stem = self.items[info["sample_idx"]]["stem"]
        info["read_truth"] = partial(self.folder.channels, self.split, stem)
        return info

    def prepare_data(self, idx: int) -> Any:
        transforms = self.pipeline.transforms
        stem = self.items[idx]["stem"]
        results = self._prepared.get(stem)
        if results is None:
            results = self.get_data_info(idx)
            for transform in transforms[: self._steady]:
                results = transform(results)
            if self._steady and _room_for(results):
                self._prepared[stem] = results
        # Copies, because later transforms may write into what they are given.
        results = {
            name: value.copy() if isinstance(value, np.ndarray | list) else value
            for name, value in results.items()
        }
        for transform in transforms[self._steady :]:
            results = transform(results)
        return results


def _room_for(results: dict[str, Any]) -> bool:
    """Whether the frames in memory may grow by this one."""
    global _held_bytes
    size = sum(value.nbytes for value in results.values() if isinstance(value, np.ndarray))
    if _held_bytes + size > CACHE_BYTES:
        return False
    _held_bytes += size
    return True


@TRANSFORMS.register_module()
class LoadTruth(BaseTransform):
    """The classes of every pixel as bits: int32 H×W, bit c for class c (without background).

    Raises:
        InputError: image and mask differ in size, or there are more classes than bits.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        channels = results.pop("read_truth")()
        if channels.shape[1:] != results["img"].shape[:2]:
            size, wanted = channels.shape[1:], results["img"].shape[:2]
            raise InputError(f"{results['img_path']}: {wanted} pixels, but its mask has {size}")
        if len(channels) > 31:
            raise InputError(f"{len(channels)} classes: at most 31 can be told apart")
        weights = 1 << np.arange(len(channels), dtype=np.int32)
        results["gt_seg_map"] = np.tensordot(weights, channels, axes=1).astype(np.int32)
        results["seg_fields"].append("gt_seg_map")
        return results


# Transforms without randomness: their results may be kept.
_STEADY = (LoadImageFromFile, LoadTruth, Resize)


@TRANSFORMS.register_module()
class ShiftScaleRotate(BaseTransform):
    """Random small shift, scaling and rotation of image and mask, padded with zeros.

    Args:
        shift: largest shift relative to the side.
        scale: largest change of scale.
        rotate: largest angle in degrees.
        probability: how often it is applied.
    """

    def __init__(
        self,
        shift: float = 0.0625,
        scale: float = 0.1,
        rotate: float = 10.0,
        probability: Rate = 0.5,
    ) -> None:
        self.shift = shift
        self.scale = scale
        self.rotate = rotate
        self.probability = probability

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        chance, *rest = np.random.random(5)  # noqa: NPY002
        if chance >= self.probability:
            return results
        angle, zoom, right, down = 2 * np.array(rest) - 1
        height, width = results["img"].shape[:2]
        matrix = cv2.getRotationMatrix2D(
            ((width - 1) / 2, (height - 1) / 2), self.rotate * angle, 1 + self.scale * zoom
        )
        matrix[:, 2] += self.shift * np.array([right * width, down * height])
        size = (width, height)
        results["img"] = cv2.warpAffine(results["img"], matrix, size, flags=cv2.INTER_LINEAR)
        for key in results.get("seg_fields", []):
            results[key] = cv2.warpAffine(results[key], matrix, size, flags=cv2.INTER_NEAREST)
        return results


@TRANSFORMS.register_module()
class BrightnessContrast(BaseTransform):
    """Random gain and offset of the intensities: alpha·x + beta·255, alpha and beta uniform.

    Args:
        limit: largest change of gain, and largest offset relative to 255.
        probability: how often it is applied.
    """

    def __init__(self, limit: float = 0.2, probability: Rate = 0.8) -> None:
        self.limit = limit
        self.probability = probability

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        chance, gain, offset = np.random.random(3)  # noqa: NPY002
        if chance < self.probability:
            alpha = 1 + self.limit * (2 * gain - 1)
            beta = 255 * self.limit * (2 * offset - 1)
            image = alpha * results["img"].astype(np.float32) + beta
            results["img"] = image.round().clip(0, 255).astype(np.uint8)
        return results

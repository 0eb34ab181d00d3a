"""A prepared denoising folder as a dataset with keyed randomness.

The degraded and the clean frame travel through the transforms as the two channels of one picture:
whatever moves one moves the other, and no transform has to know about it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset
from mmengine.structures import BaseDataElement

from benchmark.data.formats.images import read_grayscale
from benchmark.data.frame import UnreadableFrame
from benchmark.data.tasks import TaskFolder
from benchmark.downstream.denoising.windows import mirrored
from benchmark.downstream.sampling import TaskDataset
from benchmark.errors import InputError
from benchmark.registry import TRANSFORMS
from benchmark.type_hints import Count

CACHE_BYTES = 1 << 30
"""Maximum memory for a dataset's decoded frames; those beyond it are read again each time."""


def read_pair(folder: TaskFolder, split: str, stem: str) -> np.ndarray:
    """The degraded and the clean frame at native size, uint8, H×W×2.

    Raises:
        InputError: one of the two is missing or damaged, or they differ in size.
    """
    frames = []
    for file in (folder.image(split, stem), folder.clean(split, stem)):
        try:
            frames.append(read_grayscale(file))
        except UnreadableFrame as error:
            raise InputError(f"{file}: {error}; make it again with tools/prepare_data.py") from None
    degraded, clean = frames
    if degraded.shape != clean.shape:
        raise InputError(
            f"{folder.clean(split, stem)}: {clean.shape[0]}×{clean.shape[1]} pixels, but its "
            f"degraded frame has {degraded.shape[0]}×{degraded.shape[1]}; make the task again"
        )
    return np.stack(frames, axis=2)


class DenoisingDataset(TaskDataset, BaseDataset):
    """One split of a denoising folder, see `TaskDataset`.

    The transforms act on ``img``, the picture of `read_pair`; `PackPair` is the last.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._pairs: dict[int, np.ndarray] = {}
        self._held_bytes = 0
        super().__init__(*arguments, **named)

    def load_data_list(self) -> list[dict[str, Any]]:
        return [{"stem": item["stem"]} for item in self.items]

    def get_data_info(self, idx: int) -> dict[str, Any]:
        info = super().get_data_info(idx)
        # A copy: later transforms may write into what they are given.
        info["img"] = self._pair(info["sample_idx"], info["stem"]).copy()
        return info

    def _pair(self, index: int, stem: str) -> np.ndarray:
        if index in self._pairs:
            return self._pairs[index]
        pair = read_pair(self.folder, self.split, stem)
        if self._held_bytes + pair.nbytes <= CACHE_BYTES:
            self._held_bytes += pair.nbytes
            self._pairs[index] = pair
        return pair


@TRANSFORMS.register_module()
class RandomWindow(BaseTransform):
    """A square crop at native resolution, at a uniformly random position.

    Frames are never resized: averaging neighbouring pixels would remove the noise that is to be
    predicted. A smaller frame is mirrored at its lower and right side.

    Args:
        size: side in pixels.
    """

    def __init__(self, size: Count) -> None:
        self.size = size

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        picture = results["img"]
        spare = [max(length - self.size, 0) for length in picture.shape[:2]]
        top, left = (np.random.randint(0, most + 1) for most in spare)  # noqa: NPY002
        rows, columns = (mirrored(length, self.size) for length in picture.shape[:2])
        rows, columns = rows[top : top + self.size], columns[left : left + self.size]
        results["img"] = picture[rows[:, None], columns]
        return results


@TRANSFORMS.register_module()
class PackPair(BaseTransform):
    """What the models take: ``inputs`` and ``clean``, uint8 1×H×W, and the name of the frame."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        degraded, clean = np.ascontiguousarray(results["img"].transpose(2, 0, 1))
        return {
            "inputs": torch.from_numpy(degraded)[None],
            "clean": torch.from_numpy(clean)[None],
            "data_samples": BaseDataElement(metainfo={"stem": results["stem"]}),
        }

"""Views for restoration methods: a corrupted and a clean image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from benchmark.data.views.crop import crop_bicubic
from benchmark.data.views.imagenet import IMAGENET_MEAN, IMAGENET_STD
from benchmark.data.views.single import SingleView
from benchmark.registry import VIEWS, build
from benchmark.type_hints import Count, Rate


class Change(Protocol):
    """A random change of grayscale frames, B×S×S in [0, 1]."""

    def draws(self, size: int) -> int:
        """Number of uniform random numbers for one frame of S×S."""

    def __call__(self, gray: Tensor, noise: Tensor) -> Tensor:
        """Changed frames of the same shape; `noise` is B×draws in (0, 1)."""


@VIEWS.register_module()
class CorruptedView(SingleView):
    """One random resized crop per frame, corrupted, and the clean crop.

    Yields ``image`` (B×3×size×size float32, the corrupted view, normalised), ``clean``
    (B×1×size×size float32, grayscale in [0, 1]) and ``index``. Intensities are changed before
    normalisation and repetition, so that the three channels are changed alike.

    Args:
        corruptions: changes (or configs) applied to ``image`` only, in this order.
        changes: changes applied to both images beforehand.
        size, scale, ratio, flip, mean, std: see `ViewMaker`.
    """

    def __init__(
        self,
        corruptions: Sequence[Change | dict[str, Any]],
        changes: Sequence[Change | dict[str, Any]] = (),
        size: Count = 224,
        scale: tuple[float, float] = (0.2, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip: Rate = 0.5,
        mean: tuple[float, float, float] = IMAGENET_MEAN,
        std: tuple[float, float, float] = IMAGENET_STD,
    ) -> None:
        super().__init__(size, scale, ratio, flip, mean, std)
        self.changes = [build(change) for change in changes]
        self.corruptions = [build(corruption) for corruption in corruptions]

    def _changed(self, steps: list[Change], stream: str, gray: Tensor, index: Tensor) -> Tensor:
        for number, step in enumerate(steps):
            noise = self.uniform(f"{stream} {number}", index, step.draws(self.size))
            gray = step(gray, noise)
        return gray

    def make(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        index = data["index"]
        gray = crop_bicubic(data["frame"], self.draw(data), self.size) / 255
        clean = self._changed(self.changes, "change", gray, index)
        image = self._changed(self.corruptions, "corruption", clean, index)
        # The normalisation expects values in [0, 255].
        return {"image": self.normalise(255 * image), "clean": clean[:, None], "index": index}

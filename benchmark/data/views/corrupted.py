"""Views for methods that restore an image: a corrupted one, and what it was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from benchmark.data.views.crop import crop_bicubic
from benchmark.data.views.single import IMAGENET_MEAN, IMAGENET_STD, SingleView
from benchmark.registry import VIEWS, build
from benchmark.type_hints import Count, Rate


class Change(Protocol):
    """A random change of grey frames, B×S×S in [0, 1]."""

    def draws(self, size: int) -> int:
        """Uniform numbers one frame of S×S needs."""
        ...

    def __call__(self, grey: Tensor, noise: Tensor) -> Tensor:
        """The frames, and B×draws numbers in (0, 1), to frames of the same shape."""
        ...


@VIEWS.register_module()
class CorruptedView(SingleView):
    """One random resized crop per frame, corrupted, and the crop as it was.

    Yields ``image`` (B×3×size×size float32, the corrupted view, normalised), ``clean``
    (B×1×size×size float32, grey in [0, 1]) and ``index``. Grey values are changed before they are
    normalised and become three channels, so that all channels are changed alike.

    Args:
        corruptions: changes of the image alone, in this order, or their configs.
        changes: changes of both, before.
        size, scale, ratio, flip, mean, std: see `SingleView`.
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

    def _changed(self, steps: list[Change], stream: str, grey: Tensor, index: Tensor) -> Tensor:
        for number, step in enumerate(steps):
            noise = self.uniform(f"{stream} {number}", index, step.draws(self.size))
            grey = step(grey, noise)
        return grey

    def make(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        index = data["index"]
        grey = crop_bicubic(data["frame"], self.draw(data), self.size) / 255
        clean = self._changed(self.changes, "change", grey, index)
        image = self._changed(self.corruptions, "corruption", clean, index)
        # Mean and deviation are those of grey levels.
        return {"image": self.normalised(255 * image), "clean": clean[:, None], "index": index}

"""Block-wise masking of iBOT, with a random masking ratio per image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.nn.masking.blocks import BlockMasking
from benchmark.nn.masking.random import patch_noise
from benchmark.registry import MASKINGS
from benchmark.type_hints import Count, Share


@MASKINGS.register_module()
class BlockwiseRatioMasking(BlockMasking):
    """Block-wise masking up to a ratio that is drawn per image (iBOT, official code).

    The ratio is drawn from one of several equally likely ranges: with the defaults it is 0 for half
    of the images, and uniform in [0.1, 0.5] for the others. Rectangles are drawn as in BEiT
    (`BlockMasking`) until the ratio is reached or ten in a row are rejected, so that fewer patches
    than the ratio may be masked, but never more.

    Noise can be passed in with the views: for view k, ``ratio_noise_k`` (B×2: range and position
    within it) and ``block_noise_k`` (B×4·attempts).

    Args:
        num_patches, patch_size: as in `RandomMasking`; the grid is square.
        ratios: centres of the ranges (`pred_ratio`).
        spread: half widths of the ranges (`pred_ratio_var`).
        smallest: area of the smallest rectangle in patches; None for the square of a third of the
            side, rounded down (16 for 14×14 patches).
        aspect: smallest ratio of height to width; the largest is its inverse.
        attempts: number of rectangles drawn; the official loop has no limit.
        patience: consecutive rejected rectangles after which masking stops.

    Attributes:
        most: maximum number of masked patches.

    Raises:
        InputError: invalid ranges, or ranges outside [0, 1).
    """

    def __init__(
        self,
        num_patches: Count,
        patch_size: Count,
        ratios: Sequence[float] = (0.0, 0.3),
        spread: Sequence[float] = (0.0, 0.2),
        smallest: Count | None = None,
        aspect: Share = 0.3,
        attempts: Count = 60,
        patience: Count = 10,
    ) -> None:
        ranges = f"ratios={tuple(ratios)}, spread={tuple(spread)}"
        if not ratios or len(ratios) != len(spread):
            raise InputError(f"masking: {ranges} must be of the same length, one or more")
        if any(not 0 <= half <= ratio < 1 - half for ratio, half in zip(ratios, spread)):
            raise InputError(f"masking: {ranges} must give ranges within [0, 1)")
        largest = max(ratio + half for ratio, half in zip(ratios, spread))
        if smallest is None:
            smallest = max((math.isqrt(num_patches) // 3) ** 2, 1)
        super().__init__(num_patches, patch_size, largest, smallest, aspect, attempts)
        self.patience = patience
        self.register_buffer("ratios", torch.tensor(ratios), persistent=False)
        self.register_buffer("spread", torch.tensor(spread), persistent=False)
        self.most = num_patches - self.keep

    def draw_ratio(self, noise: Tensor) -> Tensor:
        """Masking ratio of each image, B×1; `noise` is B×2 in (0, 1)."""
        number = (noise[:, :1] * len(self.ratios)).long()
        return self.ratios[number] + (2 * noise[:, 1:] - 1) * self.spread[number]

    def forward(
        self, views: dict[str, Tensor], progress: Progress, view: int | Sequence[int] = 0
    ) -> Tensor:
        """Mask of one view of each frame, B×N float, 1 = masked; of several, V·B×N, by view."""
        numbers = [view] if isinstance(view, int) else view
        ratio, shape = (
            torch.cat([patch_noise(views, progress, f"{name}_{n}", count) for n in numbers])
            for name, count in (("ratio_noise", 2), ("block_noise", 4 * self.attempts))
        )
        count = self.draw_ratio(ratio) * self.num_patches
        return self._rectangles(shape, count, self.patience).to(torch.float32)

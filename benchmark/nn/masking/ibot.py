"""Masks of iBOT: of a random number of patches for each image, and for half of them none."""

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
from benchmark.type_hints import Count, Positive


@MASKINGS.register_module()
class BlockwiseRatioMasking(BlockMasking):
    """Rectangles up to a share of the patches that is drawn for each image (iBOT, official code).

    The share is drawn from one of several ranges, each as likely as the others: with the defaults
    it is 0 for half of the images, and uniform in [0.1, 0.5] for the others. Rectangles follow the
    law of BEiT (`BlockMasking`) until the share is reached or ten on end found no room, so that
    fewer patches may be masked than the share says, and never more.

    The random numbers can be passed in with the views: of view k, ``ratio_noise_k`` (B×2: range
    and place within it) and ``block_noise_k`` (B×4·attempts).

    Args:
        num_patches: N, patches per image, a square grid.
        patch_size: side of a patch in pixels.
        ratios: centres of the ranges (`pred_ratio`).
        spread: half widths of the ranges (`pred_ratio_var`).
        smallest: area of the smallest rectangle in patches; None for the square of a third of the
            side, rounded down (16 for 14×14 patches).
        aspect: ratio of height to width of the flattest rectangle; the tallest has its inverse.
        attempts: rectangles drawn in all, where the official loop has no limit.
        patience: rectangles on end that may find no room.

    Attributes:
        most: largest number of masked patches.

    Raises:
        InputError: ranges that are none or leave [0, 1).
    """

    def __init__(
        self,
        num_patches: Count,
        patch_size: Count,
        ratios: Sequence[float] = (0.0, 0.3),
        spread: Sequence[float] = (0.0, 0.2),
        smallest: Count | None = None,
        aspect: Positive = 0.3,
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

    def shares(self, noise: Tensor) -> Tensor:
        """Largest share of masked patches of each image, B×1; `noise` is B×2 in (0, 1)."""
        number = (noise[:, :1] * len(self.ratios)).long()
        return self.ratios[number] + (2 * noise[:, 1:] - 1) * self.spread[number]

    def forward(self, views: dict[str, Tensor], progress: Progress, view: int = 0) -> Tensor:
        """Mask of one view of each frame, B×N float: 1 = masked."""
        ratio = patch_noise(views, progress, f"ratio_noise_{view}", 2)
        shape = patch_noise(views, progress, f"block_noise_{view}", 4 * self.attempts)
        left = self.shares(ratio) * self.num_patches
        masked = torch.zeros(len(left), self.num_patches, dtype=torch.bool, device=left.device)
        failures = torch.zeros_like(left)
        for noise in shape.split(4, dim=1):
            block = self._rectangle(noise, left)
            added = (block & ~masked).sum(dim=1, keepdim=True)
            taken = (added > 0) & (added <= left) & (failures < self.patience)
            masked = masked | (block & taken)
            left = left - added * taken
            failures = torch.where(taken, 0, failures + 1)
        return masked.to(torch.float32)

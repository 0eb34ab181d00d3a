"""Gaussian blur as a corruption to undo (DeblurringMIM), batched, on the device of the frames."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from benchmark.registry import CORRUPTIONS
from benchmark.type_hints import Positive


@CORRUPTIONS.register_module()
class GaussianBlur(nn.Module):
    """Gaussian blur of grayscale frames, as OpenCV blurs 8-bit images (DeblurringMIM, Kang et al.).

    A separable kernel of 2r + 1 taps with 2r + 1 = ⌊6σ + 1⌉ | 1, borders reflected without
    repeating the edge pixel, and the result rounded to integers.

    Args:
        sigma: σ in pixels of the frame.
    """

    def __init__(self, sigma: Positive = 1.1) -> None:
        super().__init__()
        self.radius = (round(6 * sigma + 1) | 1) // 2
        offsets = range(-self.radius, self.radius + 1)
        weights = [math.exp(-(offset**2) / (2 * sigma**2)) for offset in offsets]
        self.kernel = tuple(weight / sum(weights) for weight in weights)

    def forward(self, frames: Tensor, valid: Tensor) -> Tensor:
        """Blur the valid part of each frame.

        Args:
            frames: B×S×S uint8, padded at the bottom and right.
            valid: B×2 int64, height and width without the padding, more than r pixels each.

        Returns:
            B×S×S uint8, undefined beyond the valid part.
        """
        batch, height, width = frames.shape
        rows = self._reflected(height, valid[:, 0])
        columns = self._reflected(width, valid[:, 1])
        sample = torch.arange(batch, device=frames.device)[:, None, None]
        padded = frames[sample, rows[:, :, None], columns[:, None, :]].float()
        blurred = self._weighted_sum(self._weighted_sum(padded, 1), 2)
        return blurred.round_().clamp_(0, 255).to(torch.uint8)

    def _weighted_sum(self, padded: Tensor, dim: int) -> Tensor:
        """Convolve along one axis; shifted sums are several times faster than `conv2d` here."""
        length = padded.shape[dim] - 2 * self.radius
        total = padded.narrow(dim, 0, length) * self.kernel[0]
        for offset, weight in enumerate(self.kernel[1:], start=1):
            total.add_(padded.narrow(dim, offset, length), alpha=weight)
        return total

    def _reflected(self, side: int, length: Tensor) -> Tensor:
        """Source pixel of each position from −r to side + r − 1, B×(side + 2r)."""
        position = torch.arange(-self.radius, side + self.radius, device=length.device).abs()
        last = (length - 1)[:, None]
        mirrored = last - (position - last).abs()
        # Positions further out belong to padding, which is cropped away.
        return mirrored.clamp_min(0)

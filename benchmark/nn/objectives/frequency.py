"""Gradient and high-frequency losses of Frepa (Chu et al., TMI 2025)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmark.nn.corruptions.frequency import OFFICIAL_SIZE, squared_frequency
from benchmark.nn.precision import to_float32
from benchmark.registry import OBJECTIVES
from benchmark.type_hints import Count, Positive


def gradient_difference(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error of the vertical plus that of the horizontal differences, B×C×H×W."""
    error = to_float32(prediction) - target
    return error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()


@OBJECTIVES.register_module()
class HighFrequencyLoss(nn.Module):
    """L_HFL: mean absolute error after high-pass filtering, summed over several filters.

    Filter k multiplies frequency f by 1 − exp(−f²/(k·f₁)²), k = 1 … levels. As filtering is linear,
    it is applied to the difference of the images.

    Args:
        levels: number of filters.
        base: f₁ in cycles per pixel, by default 10 coefficients at 512².
        official_code: shift the zero frequency by up to one coefficient, as in the released
            filter, whose grid spans S instead of S − 1 steps.
    """

    def __init__(
        self, levels: Count = 5, base: Positive = 10 / OFFICIAL_SIZE, official_code: bool = False
    ) -> None:
        super().__init__()
        self.levels, self.base, self.official_code = levels, base, official_code

    def _square(self, size: int, like: Tensor) -> Tensor:
        """f² in FFT order, S×S."""
        if not self.official_code:
            return squared_frequency(size, like.device, like.dtype)
        index = torch.linspace(0, size, size, device=like.device, dtype=like.dtype) - size // 2
        square = torch.fft.ifftshift((index / size).square())
        return square[:, None] + square

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """A scalar from two B×C×S×S images."""
        with torch.autocast(prediction.device.type, enabled=False):
            error = to_float32(prediction) - target
            square = self._square(error.shape[-1], error)
            spectrum = torch.fft.fft2(error)
            total = error.new_zeros(())
            for level in range(1, self.levels + 1):
                high_pass = 1 - torch.exp(-square / (level * self.base) ** 2)
                total = total + torch.fft.ifft2(spectrum * high_pass).real.abs().mean()
        return total

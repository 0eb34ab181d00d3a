"""Losses of Frepa (Chu et al., TMI 2025) that look at edges and at high frequencies."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.nn.corruptions.frequency import OFFICIAL_SIZE, squared_frequency
from benchmark.nn.precision import to_float32
from benchmark.registry import OBJECTIVES
from benchmark.type_hints import Count, Positive


def gradient_difference(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error of the differences between rows, plus that between columns.

    Args:
        prediction, target: B×C×H×W.
    """
    error = to_float32(prediction) - target
    return error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()


@OBJECTIVES.register_module()
class HighFrequencyLoss(nn.Module):
    """L_HFL: mean absolute error behind high-pass filters, added up over several of them.

    Filter k keeps 1 − exp(−f²/(k·f₁)²) of frequency f, k = 1 … levels. The transform is linear, so
    the difference of the images is filtered.

    Args:
        levels: number of filters.
        base: f₁ in cycles per pixel; 10 coefficients of an image of 512².
        official_code: put the zero frequency up to one coefficient off, as the released filter
            has it, whose grid spans S instead of S − 1 steps.

    Raises:
        InputError: no filter, or f₁ not above 0.
    """

    def __init__(
        self, levels: Count = 5, base: Positive = 10 / OFFICIAL_SIZE, official_code: bool = False
    ) -> None:
        super().__init__()
        if levels < 1 or base <= 0:
            raise InputError(
                f"high-frequency loss: levels={levels} and base={base} must be above 0"
            )
        self.levels, self.base, self.official_code = levels, base, official_code

    def _square(self, size: int, like: Tensor) -> Tensor:
        """f² in the order of the transform, S×S."""
        if not self.official_code:
            return squared_frequency(size, like.device, like.dtype)
        place = torch.linspace(0, size, size, device=like.device, dtype=like.dtype) - size // 2
        square = torch.fft.ifftshift((place / size).square())
        return square[:, None] + square

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """A scalar from two B×C×S×S images.

        Raises:
            ValueError: they are not square.
        """
        if prediction.shape[-1] != prediction.shape[-2]:
            raise ValueError(f"high-frequency loss: {tuple(prediction.shape)} is not square")
        with torch.autocast(prediction.device.type, enabled=False):
            error = to_float32(prediction) - target
            square = self._square(error.shape[-1], error)
            spectrum = torch.fft.fft2(error)
            total = error.new_zeros(())
            for level in range(1, self.levels + 1):
                kept = 1 - torch.exp(-square / (level * self.base) ** 2)
                total = total + torch.fft.ifft2(spectrum * kept).real.abs().mean()
        return total

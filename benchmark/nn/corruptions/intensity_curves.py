"""Random intensity transformations, batched: Bézier curves and histogram shifts.

Images are B×H×W float with intensities in [0, 1]. `draws` is the number of uniform samples a curve
needs per image; it is called with the images and these samples, B×draws.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from benchmark.errors import InputError
from benchmark.registry import CORRUPTIONS
from benchmark.type_hints import Range, Rate


def interpolate(values: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Piecewise linear interpolation, one function per sample (`numpy.interp`), constant beyond it.

    Args:
        values: B×….
        x: B×K, non-decreasing.
        y: B×K, the values at `x`.
    """
    flat = values.flatten(1)
    right = torch.searchsorted(x, flat).clamp(1, x.shape[1] - 1)
    left = right - 1
    x_left, x_right = x.gather(1, left), x.gather(1, right)
    # Where two x are equal the second applies, whatever the divisor.
    step = (x_right - x_left).clamp_min(torch.finfo(x.dtype).tiny)
    share = ((flat - x_left) / step).clamp(0, 1)
    return torch.lerp(y.gather(1, left), y.gather(1, right), share).view_as(values)


@CORRUPTIONS.register_module()
class BezierCurve:
    """Non-linear intensity transformation (Models Genesis, Zhou et al., MedIA 2021, §2.2).

    A cubic Bézier curve from (0, 0) to (1, 1) with two random control points, which is monotonic.
    With inverted values it is decreasing, so that bright becomes dark: vessels in an inverted
    angiogram are bright.

    Args:
        probability: probability of applying it.
        inversion: probability that a transformed image is inverted.
        samples: points the curve is interpolated between. The official code takes 100 000; with
            1000, a random curve deviates by less than 1/100 of an 8-bit intensity level.
    """

    def __init__(
        self,
        probability: Rate = 0.9,
        inversion: Rate = 0.5,
        samples: Annotated[int, Range(least=2)] = 1000,
    ) -> None:
        self.probability, self.inversion, self.samples = probability, inversion, samples

    def draws(self, size: int) -> int:
        """Two coin flips, two points."""
        return 6

    def __call__(self, images: Tensor, noise: Tensor) -> Tensor:
        """B×H×W and B×6 to B×H×W; samples: applied, inverted, x₁, y₁, x₂, y₂."""
        t = torch.linspace(0, 1, self.samples, device=images.device, dtype=images.dtype)
        first, second = 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2
        points = noise[:, 2:].to(images.dtype)[..., None]
        x = points[:, 0] * first + points[:, 2] * second + t**3
        y = points[:, 1] * first + points[:, 3] * second + t**3
        y = torch.where(noise[:, 1:2] < self.inversion, y.flip(1), y)
        # The curve is monotonic; its rounding may not be.
        transformed = interpolate(images, x.cummax(dim=1).values, y)
        return torch.where(noise[:, :1, None] < self.probability, transformed, images)


@CORRUPTIONS.register_module()
class HistogramShift:
    """A random monotonic curve over the intensity range of an image.

    MONAI's `RandHistogramShift`, as used by Frepa: equidistant control points, each moved, from
    dark to bright, to a uniform position between the new position of its predecessor and the old
    position of its successor.

    Args:
        probability: probability of applying it.
        points: fewest and most control points, the two ends included.

    Raises:
        InputError: `points` is not a range of two or more.
    """

    def __init__(self, probability: Rate = 0.8, points: tuple[int, int] = (8, 12)) -> None:
        if not 2 <= points[0] <= points[1]:
            raise InputError(f"histogram shift: points={points} must be a range from 2 on")
        self.probability, self.fewest, self.most = probability, *points

    def draws(self, size: int) -> int:
        """Coin flip, point count, positions."""
        return 2 + max(self.most - 2, 0)

    def __call__(self, images: Tensor, noise: Tensor) -> Tensor:
        dtype = images.dtype
        count = self.fewest + (noise[:, 1:2] * (self.most - self.fewest + 1)).floor().to(dtype)
        number = torch.arange(self.most, device=images.device, dtype=dtype)
        # Points beyond the last one of an image coincide with it.
        old = (number / (count - 1)).clamp_max(1)
        new = [old[:, 0]]
        for point in range(1, self.most - 1):
            moved = torch.lerp(new[-1], old[:, point + 1], noise[:, 1 + point].to(dtype))
            new.append(torch.where(old[:, point] < 1, moved, 1.0))
        new = torch.stack([*new, torch.ones_like(new[0])], dim=1)
        low = images.amin(dim=(1, 2), keepdim=True)
        span = images.amax(dim=(1, 2), keepdim=True) - low
        shifted = low + span * interpolate((images - low) / span.clamp_min(1e-6), old, new)
        return torch.where(noise[:, :1, None] < self.probability, shifted, images)

"""Random curves that the grey values of a frame are sent through, for a whole batch at once.

Frames are B×H×W float with grey values in [0, 1]. A curve says with `draws` how many uniform
numbers one frame needs, and is called with the frames and these numbers, B×draws.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmark.errors import InputError
from benchmark.registry import CORRUPTIONS
from benchmark.type_hints import Count, Rate


def check_probability(where: str, **values: float) -> None:
    """Refuse what is no probability.

    Raises:
        InputError: the first value outside [0, 1].
    """
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise InputError(f"{where}: {name}={value} must lie in [0, 1]")


def interpolate(values: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Piecewise linear functions, one per sample (`numpy.interp`); constant beyond their ends.

    Args:
        values: B×….
        x: B×K, not decreasing.
        y: B×K, the values at `x`.
    """
    flat = values.flatten(1)
    right = torch.searchsorted(x, flat).clamp(1, x.shape[1] - 1)
    left = right - 1
    x_left, x_right = x.gather(1, left), x.gather(1, right)
    # Of two equal places the second is meant, whatever it is divided by.
    step = (x_right - x_left).clamp_min(torch.finfo(x.dtype).tiny)
    share = ((flat - x_left) / step).clamp(0, 1)
    return torch.lerp(y.gather(1, left), y.gather(1, right), share).view_as(values)


@CORRUPTIONS.register_module()
class BezierCurve:
    """Non-linear intensity transformation (Models Genesis, Zhou et al., MedIA 2021, §2.2).

    A cubic Bézier curve from (0, 0) to (1, 1) with two random control points, which is always
    increasing, or what is left of it when the values it passes through are read backwards: then
    bright turns dark. Vessels in an inverted angiogram are bright.

    Args:
        probability: of any change.
        inversion: probability that a changed frame is inverted.
        samples: points the curve is interpolated between. The official code takes 100 000; on a
            thousand, a random curve is less than a hundredth of a grey level of 255 away.

    Raises:
        InputError: a probability outside [0, 1], or fewer than two samples.
    """

    def __init__(
        self, probability: Rate = 0.9, inversion: Rate = 0.5, samples: Count = 1000
    ) -> None:
        check_probability("Bézier curve", probability=probability, inversion=inversion)
        if samples < 2:
            raise InputError(f"Bézier curve: samples={samples} must be 2 or more")
        self.probability, self.inversion, self.samples = probability, inversion, samples

    def draws(self, size: int) -> int:
        """Uniform numbers for one frame of any `size`: two chances, two points."""
        return 6

    def __call__(self, grey: Tensor, noise: Tensor) -> Tensor:
        """B×H×W and B×6 to B×H×W; the numbers: changed, inverted, x₁, y₁, x₂, y₂."""
        t = torch.linspace(0, 1, self.samples, device=grey.device, dtype=grey.dtype)
        first, second = 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2
        points = noise[:, 2:].to(grey.dtype)[..., None]
        x = points[:, 0] * first + points[:, 2] * second + t**3
        y = points[:, 1] * first + points[:, 3] * second + t**3
        y = torch.where(noise[:, 1:2] < self.inversion, y.flip(1), y)
        # The curve increases; its rounding may not.
        changed = interpolate(grey, x.cummax(dim=1).values, y)
        return torch.where(noise[:, :1, None] < self.probability, changed, grey)


@CORRUPTIONS.register_module()
class HistogramShift:
    """A random increasing curve through the grey values, from the darkest to the brightest.

    MONAI's `RandHistogramShift`, as Frepa uses it: control points at equal distances, each moved,
    from dark to bright, to anywhere between the new place of the one before and the old place of
    the one after.

    Args:
        probability: of any change.
        points: fewest and most control points, the two ends included.

    Raises:
        InputError: a probability outside [0, 1], or no range of at least two points.
    """

    def __init__(self, probability: Rate = 0.8, points: tuple[int, int] = (8, 12)) -> None:
        check_probability("histogram shift", probability=probability)
        if not 2 <= points[0] <= points[1]:
            raise InputError(f"histogram shift: points={points} must be a range from 2 on")
        self.probability, self.fewest, self.most = probability, *points

    def draws(self, size: int) -> int:
        """Uniform numbers for one frame of any `size`: chance, number of points, places."""
        return 2 + max(self.most - 2, 0)

    def __call__(self, grey: Tensor, noise: Tensor) -> Tensor:
        """B×H×W and B×draws to B×H×W."""
        dtype = grey.dtype
        count = self.fewest + (noise[:, 1:2] * (self.most - self.fewest + 1)).floor().to(dtype)
        number = torch.arange(self.most, device=grey.device, dtype=dtype)
        # Points beyond the last one of a frame lie on it.
        old = (number / (count - 1)).clamp_max(1)
        new = [old[:, 0]]
        for place in range(1, self.most - 1):
            moved = torch.lerp(new[-1], old[:, place + 1], noise[:, 1 + place].to(dtype))
            new.append(torch.where(old[:, place] < 1, moved, 1.0))
        new = torch.stack([*new, torch.ones_like(new[0])], dim=1)
        low = grey.amin(dim=(1, 2), keepdim=True)
        span = grey.amax(dim=(1, 2), keepdim=True) - low
        shifted = low + span * interpolate((grey - low) / span.clamp_min(1e-6), old, new)
        return torch.where(noise[:, :1, None] < self.probability, shifted, grey)

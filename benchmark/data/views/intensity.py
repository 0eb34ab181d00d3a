"""Random changes of grey values, for a whole batch at once on its device.

They are what is left on grey angiograms of the colour augmentations of natural images (SimCLR, Chen
et al., ICML 2020, and its successors): brightness, contrast, blur and solarisation. Saturation, hue
and conversion to grey do nothing to a grey frame and are left out. Solarisation inverts what is
bright, so that vessels may turn brighter than their surroundings; the recipes have it, so it stays.

Grey values are float32 in [0, 255] throughout. PIL rounds them to integers after each step; here
they are only kept within the range.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.errors import InputError

DRAWS = 8
"""Uniform numbers one frame needs."""


def scale_brightness(grey: Tensor, factor: Tensor) -> Tensor:
    """factor·x, B×H×W; `factor` B."""
    return (grey * factor[:, None, None]).clamp(0, 255)


def scale_contrast(grey: Tensor, factor: Tensor) -> Tensor:
    """Distance from the frame's mean times `factor` (B), as PIL and torchvision have it."""
    mean = grey.mean(dim=(1, 2), keepdim=True)
    return (mean + (grey - mean) * factor[:, None, None]).clamp(0, 255)


def apply_gamma(grey: Tensor, gamma: Tensor) -> Tensor:
    """255·(x/255)^gamma, B×H×W; `gamma` B, above 0."""
    return 255 * (grey / 255) ** gamma[:, None, None]


def solarize(grey: Tensor, chosen: Tensor, threshold: float = 128.0) -> Tensor:
    """Invert the values from `threshold` on, in the frames that are `chosen` (B bool)."""
    inverted = torch.where(grey >= threshold, 255 - grey, grey)
    return torch.where(chosen[:, None, None], inverted, grey)


def gaussian_blur(grey: Tensor, sigma: Tensor, largest: float) -> Tensor:
    """Each frame blurred by a Gaussian of its own width; the border is continued outwards.

    Args:
        grey: B×H×W.
        sigma: B, in pixels; 0 leaves a frame as it is.
        largest: upper bound of `sigma`, which decides how far the kernels reach (4 σ).
    """
    reach = min(math.ceil(4 * largest), min(grey.shape[1:]) - 1)
    offset = torch.arange(-reach, reach + 1, device=grey.device, dtype=torch.float32)
    exponent = -0.5 * (offset / sigma[:, None].clamp_min(1e-3)) ** 2
    kernel = exponent.softmax(dim=1)  # normalised; a delta where σ is 0
    batch = len(grey)
    # Frames as channels of one image, each with its own kernel: two grouped convolutions.
    maps = F.pad(grey[None], (reach, reach, reach, reach), mode="replicate")
    maps = F.conv2d(maps, kernel[:, None, None, :], groups=batch)
    return F.conv2d(maps, kernel[:, None, :, None], groups=batch)[0]


class Intensity:
    """Brightness and contrast in random order, gamma, blur, solarisation; each by chance.

    Args:
        brightness, contrast: factors lie in [1 − value, 1 + value].
        gamma: exponents lie between 1/value and value, log-uniform; 1 for none.
        jitter: probability of the three above, together.
        blur: probability of a Gaussian blur.
        sigma: its width in pixels, from and to.
        solarize: probability of solarisation above 128.

    Raises:
        InputError: a probability outside [0, 1] or a range that is none.
    """

    def __init__(
        self,
        brightness: float = 0.4,
        contrast: float = 0.4,
        gamma: float = 1.0,
        jitter: float = 0.8,
        blur: float = 0.0,
        sigma: tuple[float, float] = (0.1, 2.0),
        solarize: float = 0.0,
    ) -> None:
        for name, value in (("jitter", jitter), ("blur", blur), ("solarize", solarize)):
            if not 0 <= value <= 1:
                raise InputError(f"intensity: {name}={value} must lie in [0, 1]")
        for name, value in (("brightness", brightness), ("contrast", contrast)):
            if not 0 <= value <= 1:
                raise InputError(f"intensity: {name}={value} must lie in [0, 1]")
        if gamma < 1 or not 0 < sigma[0] <= sigma[1]:
            raise InputError(f"intensity: gamma={gamma} must be at least 1, sigma={sigma} a range")
        self.brightness, self.contrast, self.gamma = brightness, contrast, gamma
        self.jitter, self.blur, self.solarize = jitter, blur, solarize
        self.sigma = (float(sigma[0]), float(sigma[1]))

    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What will be done to each frame.

        Args:
            noise: B×`DRAWS` uniform numbers in (0, 1).

        Returns:
            B×4 of brightness, contrast, gamma and σ (1, 1, 1, 0: nothing is changed); B bool,
            contrast before brightness; B bool, solarised.
        """
        chance, bright, contrast, gamma, order, blurred, width, solarized = noise.unbind(dim=1)
        jitter = chance < self.jitter
        factors = [
            1 + self.brightness * (2 * bright - 1),
            1 + self.contrast * (2 * contrast - 1),
            self.gamma ** (2 * gamma - 1),
        ]
        factors = [torch.where(jitter, factor, 1.0) for factor in factors]
        sigma = self.sigma[0] + (self.sigma[1] - self.sigma[0]) * width
        sigma = torch.where(blurred < self.blur, sigma, 0.0)
        return torch.stack([*factors, sigma], dim=1), order < 0.5, solarized < self.solarize

    def __call__(self, grey: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Change the frames.

        Args:
            grey: B×H×W in [0, 255].
            noise: see `draw`.

        Returns:
            The changed frames, and the B×4 parameters of `draw`.
        """
        parameters, contrast_first, solarized = self.draw(noise)
        brightness, contrast, gamma, sigma = parameters.unbind(dim=1)
        unchanged = torch.ones_like(brightness)
        if self.jitter:
            # Twice one of the two with a factor of 1 costs less than sorting the frames.
            grey = scale_contrast(grey, torch.where(contrast_first, contrast, unchanged))
            grey = scale_brightness(grey, brightness)
            grey = scale_contrast(grey, torch.where(contrast_first, unchanged, contrast))
        if self.gamma > 1:
            grey = apply_gamma(grey, gamma)
        if self.blur:
            grey = gaussian_blur(grey, sigma, self.sigma[1])
        if self.solarize:
            grey = solarize(grey, solarized)
        return grey, parameters

"""Random intensity augmentations of a batch, on its device.

The colour augmentations of natural images (SimCLR, Chen et al., ICML 2020, and its successors) that
apply to grayscale angiograms: brightness, contrast, blur and solarisation, but not saturation, hue
and grayscale conversion. Solarisation inverts bright pixels, which may make vessels brighter than
their surroundings; it is kept because published recipes use it.

Intensities are float32 in [0, 255] throughout. PIL rounds them to integers after each step; here
they are only clipped.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.errors import InputError, check_unit_interval

DRAWS = 8
"""Number of uniform random numbers per frame."""


def scale_brightness(gray: Tensor, factor: Tensor) -> Tensor:
    """factor·x, B×H×W; `factor` B."""
    return (gray * factor[:, None, None]).clamp(0, 255)


def scale_contrast(gray: Tensor, factor: Tensor) -> Tensor:
    """Scale deviations from the frame's mean by `factor` (B), as in PIL and torchvision."""
    mean = gray.mean(dim=(1, 2), keepdim=True)
    return (mean + (gray - mean) * factor[:, None, None]).clamp(0, 255)


def apply_gamma(gray: Tensor, gamma: Tensor) -> Tensor:
    """255·(x/255)^gamma, B×H×W; `gamma` B, above 0."""
    return 255 * (gray / 255) ** gamma[:, None, None]


def solarize(gray: Tensor, chosen: Tensor, threshold: float = 128.0) -> Tensor:
    """Invert values of at least `threshold` in the `chosen` frames (B bool)."""
    inverted = torch.where(gray >= threshold, 255 - gray, gray)
    return torch.where(chosen[:, None, None], inverted, gray)


def gaussian_blur(gray: Tensor, sigma: Tensor, largest: float) -> Tensor:
    """Blur each frame with a Gaussian of its own σ; borders are replicated.

    Args:
        gray: B×H×W.
        sigma: B, in pixels; 0 leaves a frame unchanged.
        largest: upper bound of `sigma`; kernels are truncated at 4 times this value.
    """
    reach = min(math.ceil(4 * largest), min(gray.shape[1:]) - 1)
    offset = torch.arange(-reach, reach + 1, device=gray.device, dtype=torch.float32)
    exponent = -0.5 * (offset / sigma[:, None].clamp_min(1e-3)) ** 2
    kernel = exponent.softmax(dim=1)  # normalised; a delta where σ is 0
    batch = len(gray)
    # Frames as channels of one image, each with its own kernel: two grouped convolutions.
    maps = F.pad(gray[None], (reach, reach, reach, reach), mode="replicate")
    maps = F.conv2d(maps, kernel[:, None, None, :], groups=batch)
    return F.conv2d(maps, kernel[:, None, :, None], groups=batch)[0]


class Intensity:
    """Random brightness and contrast (in random order), gamma, blur and solarisation.

    Args:
        brightness, contrast: factors are uniform in [1 − value, 1 + value].
        gamma: exponents are log-uniform in [1/value, value]; 1 for none.
        jitter: probability of applying the three above, jointly.
        blur: probability of Gaussian blur.
        sigma: range of its σ in pixels.
        solarize: probability of solarisation at a threshold of 128.

    Raises:
        InputError: `gamma` is below 1, or `sigma` is not a range.
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
        check_unit_interval("intensity", jitter=jitter, blur=blur, solarize=solarize)
        check_unit_interval("intensity", brightness=brightness, contrast=contrast)
        if gamma < 1 or not 0 < sigma[0] <= sigma[1]:
            raise InputError(f"intensity: gamma={gamma} must be at least 1, sigma={sigma} a range")
        self.brightness, self.contrast, self.gamma = brightness, contrast, gamma
        self.jitter, self.blur, self.solarize = jitter, blur, solarize
        self.sigma = (float(sigma[0]), float(sigma[1]))

    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Sample the parameters of each frame from B×`DRAWS` uniform numbers in (0, 1).

        Returns:
            B×4: brightness, contrast, gamma and σ (1, 1, 1, 0: unchanged); B bool: contrast before
            brightness; B bool: solarised.
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

    def __call__(self, gray: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Augmented frames, B×H×W in [0, 255], and their B×4 parameters (see `draw`)."""
        parameters, contrast_first, solarized = self.draw(noise)
        brightness, contrast, gamma, sigma = parameters.unbind(dim=1)
        neutral = torch.ones_like(brightness)
        if self.jitter:
            # Applying contrast twice, once with factor 1, is cheaper than grouping by order.
            gray = scale_contrast(gray, torch.where(contrast_first, contrast, neutral))
            gray = scale_brightness(gray, brightness)
            gray = scale_contrast(gray, torch.where(contrast_first, neutral, contrast))
        if self.gamma > 1:
            gray = apply_gamma(gray, gamma)
        if self.blur:
            gray = gaussian_blur(gray, sigma, self.sigma[1])
        if self.solarize:
            gray = solarize(gray, solarized)
        return gray, parameters

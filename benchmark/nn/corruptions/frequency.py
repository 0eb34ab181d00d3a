"""What Frepa does to an image that is to be restored (Chu et al., TMI 2025).

Noise in cells of the image, or masked cells and noise in its spectrum, for a whole batch at once.
Frames are B×S×S float with grey values in [0, 1]. Each corruption says with `draws` how many
uniform numbers one frame of S×S needs, and is called with the frames and these numbers.

The official sizes are pixels of 512². Here they are relative to the image, and so mean the same for
views of any size: grids have as many cells, and frequencies are in cycles per pixel.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmark.errors import InputError
from benchmark.nn.corruptions.intensity_curves import check_probability
from benchmark.nn.precision import to_float32
from benchmark.registry import CORRUPTIONS, build
from benchmark.type_hints import Count, Rate

OFFICIAL_SIZE = 512
"""Side of the images of the official code in pixels."""


def squared_frequency(size: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """f² of every coefficient of an S×S image in (cycles per pixel)², zero frequency first."""
    squares = torch.fft.fftfreq(size, device=device, dtype=dtype).square()
    return squares[:, None] + squares


def cell_statistics(grey: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (of the population) of a grid of cells, at every pixel.

    Args:
        grey: B×S×S.
        cells: cells along a side.

    Raises:
        InputError: they do not divide the image.
    """
    if grey.shape[-1] % cells:
        raise InputError(f"corruption: {cells} cells do not divide a view of {grey.shape[-1]}²")
    pixels = grey.unflatten(2, (cells, -1)).unflatten(1, (cells, -1))
    mean = pixels.mean(dim=(2, 4), keepdim=True)
    spread = (pixels - mean).square().mean(dim=(2, 4), keepdim=True).sqrt()
    return tuple(part.expand_as(pixels).flatten(3, 4).flatten(1, 2) for part in (mean, spread))


def _enlarge(grid: Tensor, size: int) -> Tensor:
    """B×C×C to B×S×S, every value repeated over its cell."""
    factor = size // grid.shape[-1]
    return grid.repeat_interleave(factor, dim=1).repeat_interleave(factor, dim=2)


def _normal(noise: Tensor) -> Tensor:
    """Uniform numbers in (0, 1) to standard normal ones."""
    return torch.special.ndtri(noise)


class _Masking:
    """A share of the cells of a grid, drawn for each frame.

    Args:
        ratio: smallest and largest probability of a cell; uniform between them.
        cells: cells along a side.

    Raises:
        InputError: the ratio is no range in [0, 1].
    """

    def __init__(self, ratio: tuple[float, float], cells: Count) -> None:
        if not 0 <= ratio[0] <= ratio[1] <= 1:
            raise InputError(f"corruption: ratio={ratio} must be a range in [0, 1]")
        self.ratio, self.cells = tuple(ratio), cells

    def chosen(self, noise: Tensor) -> Tensor:
        """B×(1 + C²) uniform numbers to B×C×C bool."""
        low, high = self.ratio
        probability = low + (high - low) * noise[:, :1]
        return (noise[:, 1:] < probability).unflatten(1, (self.cells, self.cells))


@CORRUPTIONS.register_module()
class CellNoise(_Masking):
    """Image-domain masking: cells become noise of their own mean and deviation.

    The "equal-histogram" noise of the paper: a cell loses its structure and keeps its brightness
    and contrast.

    Args:
        ratio: smallest and largest probability of a cell.
        cells: cells along a side.
    """

    def __init__(self, ratio: tuple[float, float] = (0.5, 0.75), cells: Count = 16) -> None:
        super().__init__(ratio, cells)

    def draws(self, size: int) -> int:
        """Uniform numbers for one frame: share, cells, grey values."""
        return 1 + self.cells**2 + size**2

    def __call__(self, grey: Tensor, noise: Tensor) -> Tensor:
        """B×S×S and B×draws to B×S×S, not limited to [0, 1]."""
        size = grey.shape[-1]
        mean, spread = cell_statistics(grey, self.cells)
        grid, values = noise.split([1 + self.cells**2, size**2], dim=1)
        masked = _enlarge(self.chosen(grid), size)
        return torch.where(masked, mean + spread * _normal(values).view_as(grey), grey)


@CORRUPTIONS.register_module()
class SpectrumNoise(_Masking):
    """Frequency-domain masking: cells of the spectrum are replaced, then all of it is disturbed.

    The spectrum has its zero frequency in the middle. Cells of it, but not the four in the middle,
    are replaced by real noise with mean and deviation of the *image's* cell in the same place. As
    grey values are tiny beside coefficients, this comes close to removing them. Then real noise of
    deviation σ·max|F| is added, weighted by exp(−f²/2d²), but not at the zero frequency. Noise
    without the symmetry of a real image's spectrum makes the image complex; its real part is kept.

    Max|F| grows with the number of pixels, and the noise of a pixel with the side S of the image.
    σ is therefore scaled by 512/S: a pixel gets the noise it gets in the official code.

    Args:
        ratio: smallest and largest probability of a cell.
        cells: cells along a side, an even number.
        sigma: mean and deviation of a normal distribution, of which |σ| is drawn, at 512².
        width: smallest and largest d in cycles per pixel.

    Raises:
        InputError: an odd number of cells, or no range.
    """

    def __init__(
        self,
        ratio: tuple[float, float] = (0.5, 0.75),
        cells: Count = 32,
        sigma: tuple[float, float] = (5e-4, 1e-4),
        width: tuple[float, float] = (0.15, 0.25),
    ) -> None:
        super().__init__(ratio, cells)
        if cells < 2 or cells % 2:
            raise InputError(f"spectrum noise: cells={cells} must be even")
        if not 0 < width[0] <= width[1]:
            raise InputError(f"spectrum noise: width={width} must be a range above 0")
        self.sigma, self.width = tuple(sigma), tuple(width)

    def draws(self, size: int) -> int:
        """Uniform numbers for one frame: share, cells, σ, d, two for every coefficient."""
        return 1 + self.cells**2 + 2 + 2 * size**2

    def __call__(self, grey: Tensor, noise: Tensor) -> Tensor:
        """B×S×S and B×draws to B×S×S, not limited to [0, 1]."""
        # Half precision has no Fourier transform of these sizes, nor the range for one.
        with torch.autocast(grey.device.type, enabled=False):
            return self._corrupt(to_float32(grey), noise)

    def _corrupt(self, grey: Tensor, noise: Tensor) -> Tensor:
        size = grey.shape[-1]
        grid, numbers, values = noise.split([1 + self.cells**2, 2, 2 * size**2], dim=1)
        replacing, disturbing = (
            _normal(values).to(grey.dtype).unflatten(1, (2, size, size)).unbind(1)
        )

        spectrum = torch.fft.fftshift(torch.fft.fft2(grey), dim=(1, 2))
        mean, spread = cell_statistics(grey, self.cells)
        masked = self.chosen(grid)
        middle = slice(self.cells // 2 - 1, self.cells // 2 + 1)
        masked[:, middle, middle] = False
        replaced = (mean + spread * replacing).to(spectrum.dtype)
        spectrum = torch.where(_enlarge(masked, size), replaced, spectrum)

        sigma = (self.sigma[0] + self.sigma[1] * _normal(numbers[:, 0])).abs()
        sigma = sigma * (OFFICIAL_SIZE / size) * spectrum.abs().amax(dim=(1, 2))
        width = self.width[0] + (self.width[1] - self.width[0]) * numbers[:, 1]
        square = torch.fft.fftshift(squared_frequency(size, grey.device, grey.dtype))
        weight = torch.exp(-square / (2 * width[:, None, None] ** 2)) * (square > 0)
        spectrum = spectrum + sigma[:, None, None] * weight * disturbing
        return torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=(1, 2))).real


@CORRUPTIONS.register_module()
class EitherCorruption:
    """One of two corruptions, drawn for each frame.

    Args:
        first, second: corruptions or their configs.
        probability: of the first one.

    Raises:
        InputError: the probability lies outside [0, 1].
    """

    def __init__(self, first: Any, second: Any, probability: Rate = 0.5) -> None:
        check_probability("corruption", probability=probability)
        self.first, self.second, self.probability = build(first), build(second), probability

    def draws(self, size: int) -> int:
        """Uniform numbers for one frame: the choice, and those of both."""
        return 1 + self.first.draws(size) + self.second.draws(size)

    def __call__(self, grey: Tensor, noise: Tensor) -> Tensor:
        """B×S×S and B×draws to B×S×S."""
        size = grey.shape[-1]
        choice, first, second = noise.split(
            [1, self.first.draws(size), self.second.draws(size)], dim=1
        )
        # Both are computed: which frame gets which is not known to the host.
        return torch.where(
            choice[..., None] < self.probability,
            self.first(grey, first),
            self.second(grey, second),
        )

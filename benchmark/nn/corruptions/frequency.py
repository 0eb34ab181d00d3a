"""Corruptions of Frepa (Chu et al., TMI 2025), batched: image-domain and frequency-domain masking.

Images are B×S×S float with intensities in [0, 1]. A corruption is called with the images and
`draws` uniform samples per image of S×S; `torch.special.ndtri` makes them standard normal.

The official sizes are in pixels at 512². Here they are relative to the image, so that they mean the
same for views of any size: grids have the same number of cells, frequencies are in cycles per
pixel.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.special import ndtri

from benchmark.errors import InputError
from benchmark.nn.precision import to_float32
from benchmark.registry import CORRUPTIONS, build
from benchmark.type_hints import Count, Rate

OFFICIAL_SIZE = 512
"""Side of the images of the official code in pixels."""


def squared_frequency(size: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """f² of every Fourier coefficient of an S×S image in (cycles per pixel)², starting at 0."""
    squares = torch.fft.fftfreq(size, device=device, dtype=dtype).square()
    return squares[:, None] + squares


def cell_statistics(images: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """Mean and population standard deviation of each cell of a grid, expanded to its pixels.

    Args:
        images: B×S×S.
        cells: cells along a side.

    Raises:
        InputError: the cells do not divide the image.
    """
    if images.shape[-1] % cells:
        raise InputError(f"corruption: {cells} cells do not divide a view of {images.shape[-1]}²")
    pixels = images.unflatten(2, (cells, -1)).unflatten(1, (cells, -1))
    mean = pixels.mean(dim=(2, 4), keepdim=True)
    spread = (pixels - mean).square().mean(dim=(2, 4), keepdim=True).sqrt()
    return tuple(part.expand_as(pixels).flatten(3, 4).flatten(1, 2) for part in (mean, spread))


def _enlarge(grid: Tensor, size: int) -> Tensor:
    """B×C×C to B×S×S by repeating every value over its cell."""
    factor = size // grid.shape[-1]
    return grid.repeat_interleave(factor, dim=1).repeat_interleave(factor, dim=2)


class _CellMasking:
    """Random masking of the cells of a grid.

    Args:
        ratio: range of the probability that a cell is masked, drawn uniformly per image.
        cells: cells along a side.

    Raises:
        InputError: `ratio` is not a range within [0, 1].
    """

    def __init__(self, ratio: tuple[float, float], cells: Count) -> None:
        if not 0 <= ratio[0] <= ratio[1] <= 1:
            raise InputError(f"corruption: ratio={ratio} must be a range in [0, 1]")
        self.ratio, self.cells = tuple(ratio), cells

    def masked_cells(self, noise: Tensor) -> Tensor:
        """B×(1 + C²) uniform samples to B×C×C bool."""
        low, high = self.ratio
        probability = low + (high - low) * noise[:, :1]
        return (noise[:, 1:] < probability).unflatten(1, (self.cells, self.cells))


@CORRUPTIONS.register_module()
class CellNoise(_CellMasking):
    """Image-domain masking: cells are replaced by noise of their mean and standard deviation.

    The "equal-histogram" noise of the paper: a cell loses its structure but keeps its brightness
    and contrast.

    The arguments are those of `_CellMasking`.
    """

    def __init__(self, ratio: tuple[float, float] = (0.5, 0.75), cells: Count = 16) -> None:
        super().__init__(ratio, cells)

    def draws(self, size: int) -> int:
        """Ratio, cells, intensities."""
        return 1 + self.cells**2 + size**2

    def __call__(self, images: Tensor, noise: Tensor) -> Tensor:
        """The result is not limited to [0, 1]."""
        size = images.shape[-1]
        mean, spread = cell_statistics(images, self.cells)
        grid, values = noise.split([1 + self.cells**2, size**2], dim=1)
        masked = _enlarge(self.masked_cells(grid), size)
        return torch.where(masked, mean + spread * ndtri(values).view_as(images), images)


@CORRUPTIONS.register_module()
class SpectrumNoise(_CellMasking):
    """Frequency-domain masking: cells of the spectrum are replaced, then noise is added to all.

    In the centred spectrum, cells other than the four central ones are replaced by real noise with
    the mean and standard deviation of the *image's* cell at the same position. As intensities are
    tiny compared with coefficients, this nearly removes them. Then real noise of standard deviation
    σ·max|F| is added, weighted by exp(−f²/2d²), except at the zero frequency. Since the noise lacks
    the symmetry of a real image's spectrum, the result is complex; its real part is kept.

    max|F| grows with the number of pixels, and the noise per pixel with the side S of the image. σ
    is therefore scaled by 512/S, so that a pixel gets as much noise as in the official code.

    Args:
        ratio: range of the probability that a cell is masked.
        cells: cells along a side, an even number.
        sigma: mean and standard deviation of the normal distribution of σ at 512²; its absolute
            value is used.
        width: range of d in cycles per pixel.

    Raises:
        InputError: an odd number of cells, or an invalid range.
    """

    def __init__(
        self,
        ratio: tuple[float, float] = (0.5, 0.75),
        cells: Count = 32,
        sigma: tuple[float, float] = (5e-4, 1e-4),
        width: tuple[float, float] = (0.15, 0.25),
    ) -> None:
        super().__init__(ratio, cells)
        if cells % 2:
            raise InputError(f"spectrum noise: cells={cells} must be even")
        if not 0 < width[0] <= width[1]:
            raise InputError(f"spectrum noise: width={width} must be a range above 0")
        self.sigma, self.width = tuple(sigma), tuple(width)

    def draws(self, size: int) -> int:
        """Ratio, cells, σ, d, two per coefficient."""
        return 1 + self.cells**2 + 2 + 2 * size**2

    def __call__(self, images: Tensor, noise: Tensor) -> Tensor:
        """The result is not limited to [0, 1]."""
        # Half precision lacks FFTs of these sizes, and the range for one.
        with torch.autocast(images.device.type, enabled=False):
            return self._corrupt(to_float32(images), noise)

    def _corrupt(self, images: Tensor, noise: Tensor) -> Tensor:
        size = images.shape[-1]
        grid, numbers, values = noise.split([1 + self.cells**2, 2, 2 * size**2], dim=1)
        replacement, added = ndtri(values).to(images.dtype).unflatten(1, (2, size, size)).unbind(1)

        spectrum = torch.fft.fftshift(torch.fft.fft2(images), dim=(1, 2))
        mean, spread = cell_statistics(images, self.cells)
        masked = self.masked_cells(grid)
        centre = slice(self.cells // 2 - 1, self.cells // 2 + 1)
        masked[:, centre, centre] = False
        replaced = (mean + spread * replacement).to(spectrum.dtype)
        spectrum = torch.where(_enlarge(masked, size), replaced, spectrum)

        sigma = (self.sigma[0] + self.sigma[1] * ndtri(numbers[:, 0])).abs()
        sigma = sigma * (OFFICIAL_SIZE / size) * spectrum.abs().amax(dim=(1, 2))
        width = self.width[0] + (self.width[1] - self.width[0]) * numbers[:, 1]
        square = torch.fft.fftshift(squared_frequency(size, images.device, images.dtype))
        weight = torch.exp(-square / (2 * width[:, None, None] ** 2)) * (square > 0)
        spectrum = spectrum + sigma[:, None, None] * weight * added
        return torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=(1, 2))).real


@CORRUPTIONS.register_module()
class EitherCorruption:
    """One of two corruptions, chosen at random per image.

    Args:
        first, second: corruptions or their configs.
        probability: probability of the first one.
    """

    def __init__(self, first: Any, second: Any, probability: Rate = 0.5) -> None:
        self.first, self.second, self.probability = build(first), build(second), probability

    def draws(self, size: int) -> int:
        """The choice, and the samples of both."""
        return 1 + self.first.draws(size) + self.second.draws(size)

    def __call__(self, images: Tensor, noise: Tensor) -> Tensor:
        size = images.shape[-1]
        choice, first, second = noise.split(
            [1, self.first.draws(size), self.second.draws(size)], dim=1
        )
        # Both are computed, since the host does not know which image gets which.
        return torch.where(
            choice[..., None] < self.probability,
            self.first(images, first),
            self.second(images, second),
        )

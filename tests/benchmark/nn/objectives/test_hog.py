"""HOG against loops in double precision, against scikit-image, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.feature import hog as skimage_hog
from torch import nn

from benchmark.data.views.single import SingleView
from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.nn.masking.random import Mask
from benchmark.nn.objectives.base import Reconstruction
from benchmark.nn.objectives.hog import HOG, HOGReconstruction
from benchmark.nn.patches import patchify


def loop_hog(image: np.ndarray, cell: int, bins: int) -> np.ndarray:
    """Histograms of one channel, bins×rows×columns, pixel by pixel."""
    height, width = image.shape

    def pixel(row: int, column: int) -> float:
        """Reflected without repeating the edge."""
        row, column = abs(row), abs(column)
        row = row if row < height else 2 * height - 2 - row
        column = column if column < width else 2 * width - 2 - column
        return float(image[row, column])

    histogram = np.zeros((bins, height // cell, width // cell))
    for row in range(height):
        for column in range(width):
            across = down = 0.0
            for step, weight in ((-1, 1), (0, 2), (1, 1)):
                left = pixel(row + step, column - 1) - pixel(row + step, column + 1)
                across += weight * left
                up = pixel(row - 1, column + step) - pixel(row + 1, column + step)
                down += weight * up
            angle = math.atan2(across, down)
            place = math.floor(angle / math.pi * bins) % bins
            histogram[place, row // cell, column // cell] += math.hypot(across, down) / cell**2
    length = np.sqrt((histogram**2).sum(axis=0))
    return histogram / np.where(length > 0, length, 1)


@pytest.mark.parametrize("bins", [9, 18])
def test_equals_loops(bins: int) -> None:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, 3, 16, 32))
    cells = (4, 2, 8, 16)
    found = HOG(bins)(torch.from_numpy(images).float(), cells)
    for cell, histograms in zip(cells, found):
        assert histograms.shape == (2, 3 * bins, 16 // cell, 32 // cell)
        for sample in range(2):
            expected = [loop_hog(channel, cell, bins) for channel in images[sample]]
            np.testing.assert_allclose(
                histograms[sample].numpy(), np.concatenate(expected), rtol=0, atol=2e-6
            )


def test_equals_scikit_image_where_gradients_agree() -> None:
    """On f(row) + g(column) Sobel is four times the central difference scikit-image takes.

    Its angle is measured from the other axis, so it gets the transposed image; its gradient is zero
    on the border, so cells there are excluded.
    """
    rng = np.random.default_rng(1)
    image = rng.normal(size=(48, 1)) + rng.normal(size=(1, 40))
    (found,) = HOG(9)(torch.from_numpy(image).float()[None, None], (8,))
    expected = skimage_hog(
        image.T,
        orientations=9,
        pixels_per_cell=(8, 8),
        cells_per_block=(1, 1),
        block_norm="L2",
        feature_vector=False,
    )[:, :, 0, 0].transpose(2, 1, 0)
    inner = (slice(None), slice(1, -1), slice(1, -1))
    np.testing.assert_allclose(found[0].numpy()[inner], expected[inner], rtol=0, atol=1e-5)


def test_edges_by_hand() -> None:
    """An edge from top to bottom votes for the middle bin, one from side to side for the first."""
    images = torch.zeros(3, 1, 8, 8)
    images[0, :, :, 4:] = 1
    images[1, :, 4:, :] = -3
    standing, lying, flat = HOG(9)(images, (8,))[0][:, :, 0, 0].tolist()
    assert standing == [0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert lying == [1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert flat == [0] * 9


def test_invariance_to_contrast_and_brightness() -> None:
    """Grey in three channels, each normalised in its own way: three equal histograms."""
    grey = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 255
    colours = torch.cat([(grey - 120) / 58, (grey - 116) / 57, (grey - 104) / 57], dim=1)
    (found,) = HOG(9)(colours, (4,))
    first, second, third = found.chunk(3, dim=1)
    torch.testing.assert_close(second, first, rtol=0, atol=1e-5)
    torch.testing.assert_close(third, first, rtol=0, atol=1e-5)
    assert first.std() > 0.1


def test_rounding_of_the_normalisation_does_not_move_votes() -> None:
    """8-bit levels with many equal neighbours: normalised, a quarter of the cells would differ."""
    generator = torch.Generator().manual_seed(0)
    levels = torch.randint(0, 4, (2, 32, 32), generator=generator) + 100
    views = SingleView(size=32)
    image = views.normalise(levels)
    restored = views.intensities(image)
    assert torch.equal(restored, levels[:, None].expand(-1, 3, -1, -1).float())

    target, normalised = HOG(9)(restored, (4,))[0], HOG(9)(image, (4,))[0]
    expected = [loop_hog(frame, 4, 9) for frame in levels.double().numpy()]
    np.testing.assert_allclose(target.numpy(), np.tile(expected, (1, 3, 1, 1)), atol=2e-6)
    moved = ((target - normalised).abs() > 1e-3).float().mean()
    assert moved > 0.1


def test_objective_takes_the_intensities_of_its_views() -> None:
    objective, views = HOGReconstruction(cell=4), SingleView(size=32)
    objective.attach(nn.Identity(), views)
    levels = torch.arange(32).mul(7).fmod(5).expand(1, 32, 32) + 90
    mask = Mask(torch.zeros(1, 0), torch.zeros(1, 16), torch.ones(1, 16))
    expected = patchify(HOG(9)(levels[:, None].expand(-1, 3, -1, -1).float(), (4,))[0], 2)
    prediction = Reconstruction(expected, mask, 8, (4, 4))
    assert objective(prediction, {"image": views.normalise(levels)}, Progress()) == 0


@pytest.mark.parametrize("value", [-2.117904, 1 / 3, 1e4 / 7])
def test_flat_regions_have_zero_gradient(value: float) -> None:
    """Not even that of a rounding error: the collimated border of an angiogram stays zero."""
    image = torch.full((1, 1, 32, 32), value)
    image[..., 20:, :] = torch.rand(1, 1, 12, 32, generator=torch.Generator().manual_seed(0))
    (found,) = HOG(9)(image, (4,))
    assert not found[..., :4, :].any()
    torch.testing.assert_close(found[..., 5:, :].norm(dim=1), torch.ones(1, 3, 8))


def test_targets_carry_no_gradient_and_no_weights() -> None:
    """In float32 whatever comes in, and nothing of it is in a state dict."""
    target = HOG(9)
    assert not target.state_dict()
    assert not list(target.parameters())
    images = torch.randn(1, 3, 8, 8, dtype=torch.bfloat16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        (found,) = target(images, (4,))
    assert found.dtype == torch.float32
    assert not found.requires_grad
    torch.testing.assert_close(found, target(images.float(), (4,))[0], rtol=0, atol=0)
    assert target.features(3) == found.shape[1] == 27


@pytest.mark.parametrize("cells", [(5,), (4, 6), (32,)])
def test_cells_must_tile(cells: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="must be multiples of the smallest and divide the image"):
        HOG(9)(torch.zeros(1, 1, 24, 24), cells)

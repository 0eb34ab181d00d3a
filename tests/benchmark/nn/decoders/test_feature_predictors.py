"""Predictors of features: what sees what, and positions as geometry of pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmark.nn.decoders.feature_predictors import (
    WorldPredictor,
    initialise_like_jepa,
    relative_sincos_embedding,
)
from benchmark.nn.vit import VisionTransformer

GRID = (4, 6)


def sincos(position: float, width: int) -> list[float]:
    quarter = width // 4
    angles = [position * 10000 ** (-k / quarter) for k in range(quarter)]
    return [np.sin(a) for a in angles] + [np.cos(a) for a in angles]


@pytest.mark.parametrize("rows_first", [False, True])
@pytest.mark.parametrize(("flip_1", "flip_2"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_positions_match_the_pixel_geometry(flip_1: int, flip_2: int, rows_first: bool) -> None:
    """From the centre of a patch to the pixel of the frame, and to the grid of the other view."""
    frame_width, height, width = 50, 20, 24
    top_1, left_1, top_2, left_2 = 3, 5, 11, 19  # in the frame as it is
    # Left edges in the mirrored frames, as the formulas of the place want them.
    own_1 = frame_width - width - left_1 if flip_1 else left_1
    own_2 = frame_width - width - left_2 if flip_2 else left_2
    place = torch.tensor(
        [
            [
                (top_2 - top_1) / height,
                (own_2 - own_1) / width,
                float(flip_1 != flip_2),
                (frame_width - own_1 - own_2) / width,
            ]
        ],
        dtype=torch.float64,
    )
    found = relative_sincos_embedding(place, 8, GRID, rows_first)[0].numpy()
    for r, c in np.ndindex(*GRID):
        share = (c + 0.5) / GRID[1]
        x = left_2 + width * (1 - share if flip_2 else share)
        y = top_2 + height * (r + 0.5) / GRID[0]
        share = (x - left_1) / width
        column = GRID[1] * (1 - share if flip_1 else share) - 0.5
        row = GRID[0] * (y - top_1) / height - 0.5
        pair = (row, column) if rows_first else (column, row)
        expected = sincos(pair[0], 8) + sincos(pair[1], 8)
        np.testing.assert_allclose(found[r * GRID[1] + c], expected, atol=1e-9)


def test_initial_weights_match_the_released_code() -> None:
    predictor = WorldPredictor(64, GRID, 2, width=64, depth=2)
    encoder = VisionTransformer(32, 8, 64, depth=2, num_heads=4, class_token=False)
    initialise_like_jepa(encoder)
    for module in (predictor, encoder):
        for name, parameter in module.named_parameters():
            if name.endswith("pos_embed"):
                continue
            if name.endswith("bias"):
                assert not parameter.any(), name
            elif parameter.ndim == 1:
                assert (parameter == 1).all(), name
            else:
                error = 5 * 0.02 / (2 * parameter.numel()) ** 0.5
                assert parameter.std().item() == pytest.approx(0.02, abs=error), name
    assert not predictor.predictor_pos_embed.requires_grad

"""A batch as the loader yields it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image


@pytest.fixture
def batch():
    """Three smooth frames of 64², the second and third padded."""
    coarse = np.random.default_rng(1).integers(40, 216, (3, 8, 8), dtype=np.uint8)
    frames = [np.array(Image.fromarray(grid).resize((64, 64))) for grid in coarse]
    frames[1][:, 50:] = 0
    frames[2][40:] = 0
    return {
        "frame": torch.from_numpy(np.stack(frames)),
        "valid": torch.tensor([[64, 64], [64, 50], [40, 64]]),
        "index": torch.tensor([5, 9, 11]),
    }

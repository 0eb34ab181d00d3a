"""Undoing the normalisation of views, and cropping as PIL does."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmark.data.views.imagenet import IMAGENET_MEAN, IMAGENET_STD

STILL = dict(jitter=0.0)
"""Arguments of an augmentation that changes nothing."""


def denormalise(view: Tensor) -> Tensor:
    """Three channels in [0, 1], B×3×H×W."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    return view * std + mean


def gray_levels(view: Tensor) -> np.ndarray:
    """Intensities in [0, 255], B×H×W, after checking that the three channels agree."""
    gray = (255 * denormalise(view)).numpy()
    assert np.abs(gray - gray[:, :1]).max() < 1e-3
    return gray[:, 0]


def crop_by_pil(frame: np.ndarray, box: list[int], size: int) -> np.ndarray:
    """A box (top, left, height, width, mirrored) of a frame, resized to size×size."""
    top, left, height, width, flip = box
    part = Image.fromarray(frame).crop((left, top, left + width, top + height))
    resized = np.asarray(part.resize((size, size), Image.Resampling.BICUBIC), float)
    return resized[:, ::-1] if flip else resized

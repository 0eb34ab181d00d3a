"""An exported encoder applied to frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from benchmark.device import device
from benchmark.encoders.card import check_patches
from benchmark.encoders.encoder import load_encoder
from benchmark.errors import InputError


@torch.no_grad()
def encode_frames(
    folder: str | Path, frames: Sequence[np.ndarray], size: int | None = None, batch_size: int = 16
) -> np.ndarray:
    """The features of frames, normalised as in the encoder's pre-training.

    Args:
        folder: holds `encoder.safetensors` and `encoder.json`.
        frames: 8-bit grayscale, uint8 H×W, 0 black; all of one size if `size` is None.
        size: resize to this square first (bilinear, antialiased); None: as they are. Both sides
            are multiples of the coarsest stride of the encoder.
        batch_size: frames at once.

    Returns:
        float32 N×D×h×w, the coarsest feature map: for a transformer, its patch tokens after the
        final norm (if it has one), without prefix tokens.

    Raises:
        InputError: no such encoder, or it is damaged; no frames, or a frame is not uint8 H×W, of
            another size, or does not fit the encoder.
    """
    if not len(frames):
        raise InputError("no frames to encode")
    for index, frame in enumerate(frames):
        if frame.dtype != np.uint8 or frame.ndim != 2:
            raise InputError(f"a frame is {frame.dtype} {frame.shape}; it must be uint8 H×W")
        if size is None and frame.shape != frames[0].shape:
            raise InputError(f"frame {index} is {frame.shape}, not {frames[0].shape}; give a size")
    encoder, card = load_encoder(folder)
    for side in frames[0].shape if size is None else (size,):
        check_patches(card, side)
    encoder.to(device()).eval()
    mean, std = (torch.tensor(v, device=device())[:, None, None] for v in (card.mean, card.std))
    found = []
    for start in range(0, len(frames), batch_size):
        images = [_image(frame, size) for frame in frames[start : start + batch_size]]
        batch = (torch.stack(images).to(device()) / 255 - mean) / std
        found.append(encoder.feature_maps(batch)[-1].float().cpu().numpy())
    return np.concatenate(found)


def _image(frame: np.ndarray, size: int | None) -> torch.Tensor:
    """A frame as float 1×H×W in [0, 255]."""
    image = torch.from_numpy(np.ascontiguousarray(frame)).float()[None]
    if size is None:
        return image
    return F.interpolate(image[None], (size, size), mode="bilinear", antialias=True)[0]

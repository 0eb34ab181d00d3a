"""Batched random resized crops: boxes, resampling, and masks cropped alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import cycle
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# torchvision's RandomResizedCrop samples up to ten boxes before it falls back to a centre crop.
_ATTEMPTS = 10
CROP_DRAWS = 4 * _ATTEMPTS + 1
"""Number of uniform random numbers per crop."""
# Smaller fractions of a pixel are rounding errors.
_SLIVER = 1e-4


class Crop(NamedTuple):
    """Boxes in pixels of the frame (each B int64) and whether they are mirrored (B bool)."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor
    flip: Tensor


def draw_crops(
    noise: Tensor,
    valid: Tensor,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    flip: float,
) -> Crop:
    """Sample boxes distributed as in torchvision's RandomResizedCrop, for a complete batch.

    Args:
        noise: B×`CROP_DRAWS` uniform numbers in (0, 1).
        valid: B×2 height and width of each frame.
        scale: range of the box area relative to the frame.
        ratio: range of the aspect ratio, width over height.
        flip: probability of mirroring.
    """
    frame_h, frame_w = valid[:, :1].double(), valid[:, 1:].double()
    area_u, ratio_u, top_u, left_u = noise[:, : 4 * _ATTEMPTS].double().chunk(4, dim=1)
    area = frame_h * frame_w * (scale[0] + (scale[1] - scale[0]) * area_u)
    low, high = math.log(ratio[0]), math.log(ratio[1])
    aspect = torch.exp(low + (high - low) * ratio_u)
    width, height = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
    fits = (width > 0) & (width <= frame_w) & (height > 0) & (height <= frame_h)

    # Fallback: the largest centred box within the aspect range.
    inside = (frame_w / frame_h).clamp(*ratio)
    back_w = torch.minimum(frame_w, (frame_h * inside).round())
    back_h = torch.minimum(frame_h, (frame_w / inside).round())

    first = fits.int().argmax(dim=1, keepdim=True)
    any_fits = fits.any(dim=1, keepdim=True)
    width = torch.where(any_fits, width.gather(1, first), back_w)
    height = torch.where(any_fits, height.gather(1, first), back_h)
    top = ((frame_h - height + 1) * top_u.gather(1, first)).floor()
    left = ((frame_w - width + 1) * left_u.gather(1, first)).floor()
    top = torch.where(any_fits, top, ((frame_h - height) / 2).floor())
    left = torch.where(any_fits, left, ((frame_w - width) / 2).floor())
    boxes = [value[:, 0].long() for value in (top, left, height, width)]
    return Crop(*boxes, flip=noise[:, 4 * _ATTEMPTS] < flip)


def _bicubic(distance: Tensor) -> Tensor:
    """Keys' cubic kernel with a = −0.5, as PIL and antialiased torch resizing use."""
    x = distance.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


def bilinear(distance: Tensor) -> Tensor:
    """The triangular kernel of antialiased bilinear resizing, for `resize_weights`."""
    return (1 - distance.abs()).clamp_min(0)


def resize_weights(
    start: Tensor,
    length: Tensor,
    flip: Tensor,
    source: int,
    out: int,
    kernel: Callable[[Tensor], Tensor] = _bicubic,
) -> Tensor:
    """Antialiased resampling of one axis as matrices, B×out×source, float32; bicubic by default.

    Row i holds the weights of all source pixels in output pixel i. Pixels outside the box have zero
    weight, as if the box were cropped first.

    Args:
        start, length: B, the box along this axis in pixels; a partly covered pixel counts as
            inside.
        flip: B bool, mirrored boxes.
        source: frame size along this axis.
        out: view size along this axis.
        kernel: weight at a distance in pixels.
    """
    device = start.device
    start, length = start.float()[:, None, None], length.float()[:, None, None]
    scale = length / out
    # Antialiasing: downsampling widens the kernel.
    stretch = scale.clamp_min(1.0)
    position = torch.arange(out, device=device, dtype=torch.float32)
    position = torch.where(flip[:, None], out - 1 - position, position)[..., None]
    centre = start + (position + 0.5) * scale
    pixel = torch.arange(source, device=device, dtype=torch.float32)
    weights = kernel((pixel + 0.5 - centre) / stretch)
    inside = (pixel + 1 > start + _SLIVER) & (pixel < start + length - _SLIVER)
    weights = weights * inside
    return weights / weights.sum(dim=2, keepdim=True)


def crop_bicubic(frames: Tensor, crop: Crop, size: int) -> Tensor:
    """Crop, mirror and resize: B×S×S uint8 to B×size×size float32 in [0, 255].

    With K·B boxes, the first ones of all frames, then the second ones, and so on, the views are
    K·B×size×size.

    Two batched matrix products on a GPU; on a CPU, torch's uint8 kernel, sample by sample, is
    several times faster because it reads only the box.
    """
    if frames.device.type == "cpu":
        boxes = torch.stack(crop[:4], dim=1).tolist()
        pieces = [
            F.interpolate(
                frame[None, None, top : top + height, left : left + width],
                (size, size),
                mode="bicubic",
                antialias=True,
            )
            for frame, (top, left, height, width) in zip(cycle(frames), boxes)
        ]
        pieces = [p.flip(3) if mirrored else p for p, mirrored in zip(pieces, crop.flip.tolist())]
        return torch.cat(pieces)[:, 0].float()
    return crop_matrix(frames, crop, size)


def crop_matrix(
    frames: Tensor, crop: Crop, size: int, kernel: Callable[[Tensor], Tensor] = _bicubic
) -> Tensor:
    """`crop_bicubic` as two batched matrix products, on any device, or with another kernel."""
    batch, side = frames.shape[:2]
    unflipped = torch.zeros_like(crop.flip)
    rows = resize_weights(crop.top, crop.height, unflipped, side, size, kernel)
    columns = resize_weights(crop.left, crop.width, crop.flip, side, size, kernel)
    # Autocast would round intensities to 8 bits of mantissa.
    with torch.autocast(frames.device.type, enabled=False):
        # As in torch, and PIL before 13: horizontal pass first, overshoot clipped after each.
        # One product for all boxes of a frame, which is read once.
        columns = columns.unflatten(0, (-1, batch)).permute(1, 3, 0, 2)
        views = (frames.float() @ columns.flatten(2)).clamp_(0, 255).round_()
        views = views.unflatten(2, columns.shape[2:]).permute(2, 0, 1, 3).flatten(0, 1)
        return (rows @ views).clamp_(0, 255).round_()


def crop_nearest(packed: Tensor, crop: Crop, size: int) -> Tensor:
    """Crop, mirror and resize bit-packed masks: B×S×(S/8) uint8 to B×size×size float 0/1.

    On a GPU, every pixel looks up its bit; on a CPU, unpacking complete rows is faster.
    """
    if packed.device.type == "cpu":
        masks = torch.empty(len(packed), size, size)
        places = (place.numpy() for place in _nearest(crop, size))
        for mask, bits, rows, columns in zip(masks, packed.numpy(), *places):
            pixels = np.unpackbits(bits[rows], axis=1)
            mask.copy_(torch.from_numpy(np.take(pixels, columns, axis=1)))
        return masks
    return crop_lookup(packed, crop, size)


def crop_lookup(packed: Tensor, crop: Crop, size: int) -> Tensor:
    """`crop_nearest` as one look-up per pixel, on any device."""
    rows, columns = _nearest(crop, size)
    batch = torch.arange(len(packed), device=packed.device)[:, None, None]
    bytes_ = packed[batch, rows[:, :, None], (columns >> 3)[:, None, :]]
    # numpy packs the first pixel into the highest bit.
    shift = (7 - (columns & 7)).to(torch.uint8)[:, None, :]
    return ((bytes_ >> shift) & 1).float()


def _nearest(crop: Crop, size: int) -> tuple[Tensor, Tensor]:
    """Source row and column of each row and column of a view, both B×size int64."""
    # ⌊(i + ½) · length / size⌋ in integers: a centre between two pixels rounds up.
    step = 2 * torch.arange(size, device=crop.top.device) + 1
    rows = crop.top[:, None] + step * crop.height[:, None] // (2 * size)
    columns = crop.left[:, None] + step * crop.width[:, None] // (2 * size)
    return rows, torch.where(crop.flip[:, None], columns.flip(1), columns)

"""Corruptions of Models Genesis (Zhou et al., MedIA 2021, §2.2), in two dimensions and batched.

Flips, local pixel shuffling, in-painting and out-painting; the non-linear intensity transformation
is `BezierCurve` of `benchmark.nn.corruptions.intensity_curves`. Images are B×S×S float with
intensities in [0, 1]; a corruption is called with them and `draws` uniform samples per image.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.errors import InputError
from benchmark.registry import CORRUPTIONS
from benchmark.type_hints import Count, Natural, Rate


class Boxes(NamedTuple):
    """Boxes in pixels, each B×N int64."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor


def draw_boxes(
    noise: Tensor, size: int, sides: tuple[Tensor | int, Tensor | int], margin: int = 0
) -> Boxes:
    """Boxes with uniform sides and, given these, uniform positions.

    Args:
        noise: B×N×4 uniform samples in (0, 1): height, width, top, left.
        size: side S of the image.
        sides: smallest and largest side, inclusive; integers or tensors that expand to B×N×1.
        margin: minimum distance between a box and the border in pixels.
    """
    low, high = sides
    side = low + (noise[..., :2] * (high - low + 1)).long()
    corner = margin + (noise[..., 2:] * (size - side - 2 * margin + 1)).long()
    return Boxes(corner[..., 0], corner[..., 1], side[..., 0], side[..., 1])


@CORRUPTIONS.register_module()
class RandomFlips:
    """Up to `most` flips along random axes (`data_augmentation` of the official code).

    One of the three axes is the channel axis, whose flip changes nothing.

    Args:
        probability: probability of the first flip, and of each further one.
        most: maximum number of flips.
    """

    def __init__(self, probability: Rate = 0.4, most: Natural = 3) -> None:
        self.probability, self.most = probability, most

    def draws(self, size: int) -> int:
        """Coin flip and axis of every flip."""
        return 2 * self.most

    def __call__(self, images: Tensor, noise: Tensor) -> Tensor:
        coins, axes = noise.chunk(2, dim=1)
        continued = (coins < self.probability).cumprod(dim=1)
        axis = (axes * 3).long()
        for number in (1, 2):  # rows, columns
            odd = (continued * (axis == number)).sum(dim=1) % 2 == 1
            images = torch.where(odd[:, None, None], images.flip(number), images)
        return images


@CORRUPTIONS.register_module()
class LocalShuffling:
    """Local pixel shuffling: pixels are permuted within many small windows.

    Windows are read from the original image and pasted one after the other. In three dimensions the
    official code uses 10 000 windows, which cover a volume 1.9 times; 700 cover an image as often.

    Args:
        probability: probability of applying it.
        windows: number of windows.
        largest: largest side of a window relative to the image.
    """

    def __init__(self, probability: Rate = 0.5, windows: Count = 700, largest: Rate = 0.1) -> None:
        self.probability, self.windows, self.largest = probability, windows, largest

    def side(self, size: int) -> int:
        """Largest side of a window in pixels."""
        # The factor guards against rounding: a tenth of 30 is 3, not 2.999….
        return max(int(size * self.largest * (1 + 1e-9)), 1)

    def draws(self, size: int) -> int:
        """Coin flip, boxes, sort keys of their pixels."""
        return 1 + self.windows * (4 + self.side(size) ** 2)

    def __call__(self, images: Tensor, noise: Tensor) -> Tensor:
        size, side = images.shape[-1], self.side(images.shape[-1])
        numbers, keys = noise[:, 1:].split([4 * self.windows, side**2 * self.windows], dim=1)
        boxes = draw_boxes(numbers.unflatten(1, (-1, 4)), size, (1, side))

        # Sorting random keys permutes the pixels of a window. Windows differ in area; keys beyond
        # it sort to the end.
        area = (boxes.height * boxes.width)[..., None]
        pixel = torch.arange(side**2, device=images.device)
        keys = torch.where(pixel < area, keys.unflatten(1, (self.windows, -1)), 2.0)
        order = keys.argsort(dim=2, stable=True)

        owner = last_box(boxes, size, side).flatten(1)
        covered = owner >= 0
        owner = owner.clamp_min(0).long()
        top, left, width = (part.gather(1, owner) for part in (boxes.top, boxes.left, boxes.width))
        pixel = torch.arange(size**2, device=images.device)
        within = (pixel // size - top) * width + pixel % size - left
        within = torch.where(covered, within, 0)
        moved = order.flatten(1).gather(1, owner * side**2 + within)
        source = (top + moved // width) * size + left + moved % width
        change = covered & (noise[:, :1] < self.probability)
        flat = images.flatten(1)
        return torch.where(change, flat.gather(1, torch.where(covered, source, 0)), flat).view_as(
            images
        )


def last_box(boxes: Boxes, size: int, largest: int) -> Tensor:
    """Index of the last box covering each pixel, B×S×S int32, −1 if there is none.

    An inverted sparse table: each box is the union of four, possibly overlapping, boxes whose sides
    are powers of two, and each of those is pushed down to its halves until single pixels remain.

    Args:
        boxes: B×N each.
        size: side S of the image.
        largest: upper bound of the sides.
    """
    levels = largest.bit_length()
    batch, count = boxes.top.shape
    device = boxes.top.device
    powers = [2**level for level in range(1, levels)]
    rows = sum(((boxes.height >= power).long() for power in powers), torch.zeros_like(boxes.top))
    columns = sum(((boxes.width >= power).long() for power in powers), torch.zeros_like(boxes.top))
    number = torch.arange(count, device=device, dtype=torch.int32).expand(batch, -1)
    table = torch.full((batch, levels * levels * size * size), -1, device=device, dtype=torch.int32)
    for top in (boxes.top, boxes.top + boxes.height - 2**rows):
        for left in (boxes.left, boxes.left + boxes.width - 2**columns):
            place = ((rows * levels + columns) * size + top) * size + left
            table.scatter_reduce_(1, place, number, "amax")

    table = table.view(batch, levels, levels, size, size)
    for level in reversed(range(1, levels)):
        _push_down(table[:, level - 1], table[:, level], 2, 2 ** (level - 1))
    table = table[:, 0]
    for level in reversed(range(1, levels)):
        _push_down(table[:, level - 1], table[:, level], 2, 2 ** (level - 1))
    return table[:, 0]


def _push_down(fine: Tensor, coarse: Tensor, dim: int, half: int) -> None:
    """Push blocks of 2·`half` pixels along `dim` down to the two blocks of `half` pixels each."""
    length = coarse.shape[dim] - half
    torch.maximum(fine, coarse, out=fine)
    second = fine.narrow(dim, half, length)
    torch.maximum(second, coarse.narrow(dim, 0, length), out=second)


@CORRUPTIONS.register_module()
class Painting:
    """In-painting or out-painting: noise inside some boxes, or everywhere outside them.

    Args:
        probability: probability of applying either.
        inside: probability that it is in-painting.
        more: probability of each further box; out-painting has at least one.
        boxes: maximum number of boxes.
        holes: smallest and largest side of an in-painted box relative to the image.
        windows: smallest and largest side of a box that out-painting preserves.
        margin: minimum distance between a box and the border in pixels.
    """

    def __init__(
        self,
        probability: Rate = 0.9,
        inside: Rate = 0.2,
        more: Rate = 0.95,
        boxes: Count = 5,
        holes: tuple[float, float] = (1 / 6, 1 / 3),
        windows: tuple[float, float] = (3 / 7, 4 / 7),
        margin: Natural = 3,
    ) -> None:
        self.probability, self.inside, self.more, self.boxes = probability, inside, more, boxes
        self.holes, self.windows, self.margin = tuple(holes), tuple(windows), margin

    def draws(self, size: int) -> int:
        """Two coin flips, boxes with theirs, intensities."""
        return 2 + 5 * self.boxes + size**2

    def _sides(self, size: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Smallest and largest sides of holes and of windows in pixels.

        Raises:
            InputError: the largest does not fit into the image.
        """
        # The factor guards against rounding: a third of 9 is 3, not 2.999….
        holes, gaps = (
            [int(size * share * (1 + 1e-9)) for share in sides]
            for sides in (self.holes, [1 - share for share in reversed(self.windows)])
        )
        # As in the official code, the painted part is rounded down, not the window.
        windows = (size - gaps[1], size - gaps[0])
        if max(*holes, *windows) + 2 * self.margin > size or min(holes) < 1:
            raise InputError(f"painting: a view of {size}² is too small for these boxes")
        return (holes[0], holes[1]), windows

    def __call__(self, images: Tensor, noise: Tensor) -> Tensor:
        size = images.shape[-1]
        coins, chain, corners, values = noise.split([2, self.boxes, 4 * self.boxes, size**2], dim=1)
        inside = coins[:, 1] < self.inside
        holes, windows = self._sides(size)
        low, high = (
            torch.where(inside, hole, window)[:, None, None] for hole, window in zip(holes, windows)
        )
        boxes = draw_boxes(corners.unflatten(1, (-1, 4)), size, (low, high), self.margin)
        continued = chain < self.more
        # Out-painting always has a first box.
        first = continued[:, :1] | ~inside[:, None]
        used = torch.cat([first, continued[:, 1:]], dim=1).cumprod(dim=1).bool()

        pixel = torch.arange(size, device=images.device)
        rows, columns = (
            (pixel >= start[..., None]) & (pixel < (start + length)[..., None])
            for start, length in ((boxes.top, boxes.height), (boxes.left, boxes.width))
        )
        rows = rows & used[..., None]
        covered = (rows[..., :, None] & columns[..., None, :]).any(dim=1)
        # Overlapping boxes share their values, which stay uniform and independent of the image.
        painted = (covered == inside[:, None, None]) & (coins[:, :1, None] < self.probability)
        return torch.where(painted, values.view_as(images).to(images.dtype), images)

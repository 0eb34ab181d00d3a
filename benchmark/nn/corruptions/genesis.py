"""What Models Genesis does to an image that is to be restored (Zhou et al., MedIA 2021, §2.2).

Flips, local pixel shuffling and painting, in two dimensions and for a whole batch at once; the
fourth, the non-linear intensity transformation, is `BezierCurve` of
`benchmark.nn.corruptions.intensity_curves`. Frames are B×S×S float with intensities in [0, 1]. As
the curves, each says with `draws` how many uniform numbers one frame of S×S needs, and is called
with the frames and these numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.errors import InputError
from benchmark.nn.corruptions.intensity_curves import check_probability
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
    """Boxes whose sides, and then places, are uniform.

    Args:
        noise: B×N×4 uniform numbers in (0, 1): height, width, top, left.
        size: side S of the frame.
        sides: smallest and largest side, both included; integers or tensors that expand to B×N×1.
        margin: pixels between a box and the border, at least.
    """
    low, high = sides
    side = low + (noise[..., :2] * (high - low + 1)).long()
    corner = margin + (noise[..., 2:] * (size - side - 2 * margin + 1)).long()
    return Boxes(corner[..., 0], corner[..., 1], side[..., 0], side[..., 1])


@CORRUPTIONS.register_module()
class RandomFlips:
    """Up to `most` flips, each of a random axis (the official `data_augmentation`).

    The axis is one of three, of which the first is that of the channels: nothing happens then.

    Args:
        probability: of the first flip, and of every further one.
        most: flips at most.

    Raises:
        InputError: the probability lies outside [0, 1].
    """

    def __init__(self, probability: Rate = 0.4, most: Natural = 3) -> None:
        check_probability("flips", probability=probability)
        self.probability, self.most = probability, most

    def draws(self, size: int) -> int:
        """Uniform numbers for one frame of any `size`: chance and axis of every flip."""
        return 2 * self.most

    def __call__(self, grey: Tensor, noise: Tensor) -> Tensor:
        """B×S×S and B×draws to B×S×S."""
        chances, axes = noise.chunk(2, dim=1)
        going_on = (chances < self.probability).cumprod(dim=1)
        axis = (axes * 3).long()
        for number in (1, 2):  # rows, columns
            odd = (going_on * (axis == number)).sum(dim=1) % 2 == 1
            grey = torch.where(odd[:, None, None], grey.flip(number), grey)
        return grey


@CORRUPTIONS.register_module()
class LocalShuffling:
    """Local pixel shuffling: the pixels of many small windows change places within them.

    Windows are read from the frame as it was, and laid over each other one after the other. In
    three dimensions the official code takes 10 000 windows, which cover a volume 1.9 times; 700
    cover an image as often.

    Args:
        probability: of any change.
        windows: number of windows.
        largest: largest side of a window relative to the frame.

    Raises:
        InputError: a probability outside [0, 1], no window, or one larger than the frame.
    """

    def __init__(self, probability: Rate = 0.5, windows: Count = 700, largest: float = 0.1) -> None:
        check_probability("local shuffling", probability=probability, largest=largest)
        if windows < 1:
            raise InputError(f"local shuffling: windows={windows} must be 1 or more")
        self.probability, self.windows, self.largest = probability, windows, largest

    def side(self, size: int) -> int:
        """Largest side of a window in pixels."""
        # One part in 10⁹ more: a tenth of 30 is 3, not 2.999….
        return max(int(size * self.largest * (1 + 1e-9)), 1)

    def draws(self, size: int) -> int:
        """Uniform numbers for one frame: chance, boxes, a key for every pixel of every window."""
        return 1 + self.windows * (4 + self.side(size) ** 2)

    def __call__(self, grey: Tensor, noise: Tensor) -> Tensor:
        """B×S×S and B×draws to B×S×S."""
        size, side = grey.shape[-1], self.side(grey.shape[-1])
        numbers, keys = noise[:, 1:].split([4 * self.windows, side**2 * self.windows], dim=1)
        boxes = draw_boxes(numbers.unflatten(1, (-1, 4)), size, (1, side))

        # A permutation of the pixels of a window: their order when sorted by their keys. Windows
        # have different areas; what lies beyond sorts to the end.
        area = (boxes.height * boxes.width)[..., None]
        pixel = torch.arange(side**2, device=grey.device)
        keys = torch.where(pixel < area, keys.unflatten(1, (self.windows, -1)), 2.0)
        order = keys.argsort(dim=2, stable=True)

        owner = last_box(boxes, size, side).flatten(1)
        covered = owner >= 0
        owner = owner.clamp_min(0).long()
        top, left, width = (part.gather(1, owner) for part in (boxes.top, boxes.left, boxes.width))
        place = torch.arange(size**2, device=grey.device)
        within = (place // size - top) * width + place % size - left
        within = torch.where(covered, within, 0)
        moved = order.flatten(1).gather(1, owner * side**2 + within)
        source = (top + moved // width) * size + left + moved % width
        change = covered & (noise[:, :1] < self.probability)
        flat = grey.flatten(1)
        return torch.where(change, flat.gather(1, torch.where(covered, source, 0)), flat).view_as(
            grey
        )


def last_box(boxes: Boxes, size: int, largest: int) -> Tensor:
    """Number of the last box over each pixel, B×S×S int32, −1 where there is none.

    A sparse table turned round: each box is covered by four whose sides are powers of two, which
    may overlap, and each of those is handed down as its halves until it is single pixels.

    Args:
        boxes: B×N each.
        size: side S of the frame.
        largest: no side is longer.
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
        _hand_down(table[:, level - 1], table[:, level], 2, 2 ** (level - 1))
    table = table[:, 0]
    for level in reversed(range(1, levels)):
        _hand_down(table[:, level - 1], table[:, level], 2, 2 ** (level - 1))
    return table[:, 0]


def _hand_down(fine: Tensor, coarse: Tensor, dim: int, half: int) -> None:
    """Blocks of twice `half` pixels along `dim` into blocks of `half`: here, and `half` further."""
    length = coarse.shape[dim] - half
    torch.maximum(fine, coarse, out=fine)
    further = fine.narrow(dim, half, length)
    torch.maximum(further, coarse.narrow(dim, 0, length), out=further)


@CORRUPTIONS.register_module()
class Painting:
    """In-painting or out-painting: noise inside some boxes, or everywhere outside of them.

    Args:
        probability: of any change.
        inside: probability that a changed frame is in-painted.
        more: probability of a further box; out-painting has at least one.
        boxes: boxes at most.
        holes: smallest and largest side of an in-painted box relative to the frame.
        windows: the same of a box that out-painting leaves.
        margin: pixels between a box and the border, at least.

    Raises:
        InputError: a probability outside [0, 1], or no box.
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
        check_probability("painting", probability=probability, inside=inside, more=more)
        if boxes < 1:
            raise InputError(f"painting: boxes={boxes} must be 1 or more")
        self.probability, self.inside, self.more, self.boxes = probability, inside, more, boxes
        self.holes, self.windows, self.margin = tuple(holes), tuple(windows), margin

    def draws(self, size: int) -> int:
        """Uniform numbers for one frame: two chances, boxes with theirs, grey values."""
        return 2 + 5 * self.boxes + size**2

    def _sides(self, size: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Sides in pixels of holes and of windows.

        Raises:
            InputError: the largest does not fit into the frame.
        """
        # One part in 10⁹ more: a third of 9 is 3, not 2.999….
        holes, gaps = (
            [int(size * share * (1 + 1e-9)) for share in sides]
            for sides in (self.holes, [1 - share for share in reversed(self.windows)])
        )
        # What is left out is what gets rounded down, as in the official code.
        windows = (size - gaps[1], size - gaps[0])
        if max(*holes, *windows) + 2 * self.margin > size or min(holes) < 1:
            raise InputError(f"painting: a view of {size}² is too small for these boxes")
        return (holes[0], holes[1]), windows

    def __call__(self, grey: Tensor, noise: Tensor) -> Tensor:
        """B×S×S and B×draws to B×S×S."""
        size = grey.shape[-1]
        chances, chain, places, values = noise.split(
            [2, self.boxes, 4 * self.boxes, size**2], dim=1
        )
        inside = chances[:, 1] < self.inside
        holes, windows = self._sides(size)
        low, high = (
            torch.where(inside, hole, window)[:, None, None] for hole, window in zip(holes, windows)
        )
        boxes = draw_boxes(places.unflatten(1, (-1, 4)), size, (low, high), self.margin)
        going_on = chain < self.more
        # The first box of out-painting is there in any case.
        first = going_on[:, :1] | ~inside[:, None]
        there = torch.cat([first, going_on[:, 1:]], dim=1).cumprod(dim=1).bool()

        pixel = torch.arange(size, device=grey.device)
        rows, columns = (
            (pixel >= start[..., None]) & (pixel < (start + length)[..., None])
            for start, length in ((boxes.top, boxes.height), (boxes.left, boxes.width))
        )
        rows = rows & there[..., None]
        covered = (rows[..., :, None] & columns[..., None, :]).any(dim=1)
        # Boxes that overlap get the same values: as uniform, and as independent of the frame.
        painted = (covered == inside[:, None, None]) & (chances[:, :1, None] < self.probability)
        return torch.where(painted, values.view_as(grey).to(grey.dtype), grey)

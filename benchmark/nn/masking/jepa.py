"""A context block and target blocks of patches: the masks of I-JEPA and CheXWorld.

Both draw the *sizes* of the blocks once per step and their *places* for every image, and both want
equally many patches of every image. In their code a batch is cut to the smallest context (and
union of targets) in it, a number that depends on which images meet on a device. Here it is a
function of the sizes alone: the smallest among `REFERENCE` layouts, as many as the official runs
have images on a device. An image whose own layout has fewer patches draws another, as the official
code does below `min_keep`. So shapes are known before any mask is drawn, nothing is read back from
the device, and an image has the same mask on however many processes, in parts of whatever size.
"""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.nn.masking.blocks import grid_side
from benchmark.nn.masking.random import patch_noise
from benchmark.randomness import numpy_generator, uniform
from benchmark.registry import MASKINGS
from benchmark.type_hints import Count, Natural

REFERENCE = 128
"""Images on one device in the official runs of both methods."""

Interval = tuple[float, float]
Size = tuple[int, int]


class Blocks(NamedTuple):
    """Patches of each sample, by their number in raster order, each row in rising order.

    Attributes:
        context: B×K, what the encoder sees.
        targets: B×M×T, what is predicted: M blocks, or one union of blocks.
    """

    context: Tensor
    targets: Tensor


class BlockSizes(NamedTuple):
    """Height and width in patches of all target blocks and of all context blocks of a step."""

    target: Size
    context: Size


@MASKINGS.register_module()
class MultiblockMasking(nn.Module):
    """Multi-block masking (I-JEPA, Assran et al., CVPR 2023, §3 and appendix A).

    Four target blocks of 15–20 % of the image and of an aspect of 0.75–1.5, which may overlap, and
    a square context block of 85–100 % without what it shares with any of the targets.

    The released code deviates in three ways, reproduced by `official_code`: scale and aspect are
    made of one random number, so that large blocks are always tall; no block ever reaches the last
    row and column of patches, so that on 14×14 patches the context block is 13×13 and always at the
    top left; and contexts are cut to equal length at their end, which is the bottom of the image.
    Here patches anywhere are left out.

    The random numbers can be passed in with the views, for view k as ``block_noise_k``
    (B×attempts·(M + 1)·2: row and column of each block) and ``cut_noise_k`` (B×N).

    Args:
        num_patches: N, patches per image, a square grid.
        patch_size: side of a patch in pixels.
        context_scale: area of the context block relative to the image; it is a square.
        target_scale: area of a target block relative to the image.
        target_aspect: its ratio of height to width.
        targets: M, blocks that are drawn.
        min_keep: a context needs more patches than these.
        attempts: layouts an image may draw until its context is as large as those of the others.
        official_code: see above.

    Raises:
        InputError: ranges that are none, or targets that leave no context.
    """

    log_aspect: ClassVar[bool] = False
    mended: ClassVar[bool] = False
    """Whether the released code has independent numbers and reaches the border."""

    def __init__(
        self,
        num_patches: Count,
        patch_size: Count,
        context_scale: Interval = (0.85, 1.0),
        target_scale: Interval = (0.15, 0.2),
        target_aspect: Interval = (0.75, 1.5),
        targets: Count = 4,
        min_keep: Natural = 10,
        attempts: Count = 8,
        official_code: bool = False,
    ) -> None:
        super().__init__()
        for name, scale in (("context_scale", context_scale), ("target_scale", target_scale)):
            if not 0 < scale[0] <= scale[1] <= 1:
                raise InputError(f"masking: {name}={tuple(scale)} must be a range within (0, 1]")
        if not 0 < target_aspect[0] <= target_aspect[1]:
            aspect = tuple(target_aspect)
            raise InputError(f"masking: target_aspect={aspect} must be a range above 0")
        for name, value in (("targets", targets), ("attempts", attempts)):
            if value < 1:
                raise InputError(f"masking: {name}={value} must be at least 1")
        self.num_patches = num_patches
        self.side = grid_side(num_patches)
        self.context_scale = context_scale
        self.target_scale = target_scale
        self.target_aspect = target_aspect
        self.targets = targets
        self.min_keep = min_keep
        self.attempts = attempts
        self.tied = official_code and not self.mended
        self.reach = self.side - int(self.tied)
        self.cut_bottom = official_code
        self._lengths: dict[BlockSizes, tuple[int, int]] = {}
        # The least room for a context; a config that leaves none is refused here, not in a run.
        for eighth in range(9):
            self.lengths(BlockSizes(self._target(1.0, eighth / 8), self._context(0.0)))

    def _block(self, scale: Interval, share: float, aspect: float) -> Size:
        """Height and width of a block whose area lies at `share` of its range."""
        area = int(self.num_patches * (scale[0] + share * (scale[1] - scale[0])))
        sides = (round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect)))
        height, width = (min(max(side, 1), self.reach) for side in sides)
        return height, width

    def _context(self, share: float) -> Size:
        return self._block(self.context_scale, share, 1.0)

    def _target(self, share: float, aspect_share: float) -> Size:
        low, high = self.target_aspect
        if self.log_aspect:
            aspect = low * (high / low) ** aspect_share
        else:
            aspect = low + aspect_share * (high - low)
        return self._block(self.target_scale, share, aspect)

    def sizes(self, progress: Progress) -> BlockSizes:
        """Sizes of the blocks of all images in a step, on every process."""
        key = (progress.seed, progress.epoch, "block sizes", progress.step)
        scale, aspect, context = numpy_generator(*key).random(3).tolist()
        return BlockSizes(
            self._target(scale, scale if self.tied else aspect), self._context(context)
        )

    def _layouts(self, noise: Tensor, sizes: BlockSizes) -> tuple[Tensor, Tensor]:
        """Which patches lie in which block.

        Args:
            noise: …×(M + 1)×2 uniform numbers: row and column of the targets, then of the context.

        Returns:
            Targets, …×M×N bool, and context block, …×N bool.
        """
        places = noise.split([self.targets, 1], dim=-2)
        targets, block = (self._cover(*pair) for pair in zip(places, sizes))
        return targets, block.squeeze(-2)

    def _cover(self, places: Tensor, size: Size) -> Tensor:
        """Patches of blocks of one size, …×2 to …×N bool."""
        height, width = size
        cell = torch.arange(self.side, device=places.device)
        top = (places[..., :1] * (self.reach - height + 1)).floor()
        left = (places[..., 1:] * (self.reach - width + 1)).floor()
        rows = (cell >= top) & (cell < top + height)
        columns = (cell >= left) & (cell < left + width)
        return (rows[..., :, None] & columns[..., None, :]).flatten(-2)

    def _count(self, targets: Tensor) -> Tensor:
        """Patches of one target in each layout, from its blocks, …×M×N bool."""
        return targets[..., 0, :].sum(dim=-1)

    def lengths(self, sizes: BlockSizes) -> tuple[int, int]:
        """Patches of the context and of a target that every image has.

        Raises:
            InputError: no layout leaves a context of more than `min_keep` patches.
        """
        if sizes not in self._lengths:
            index = torch.arange(REFERENCE, device="cpu")
            noise = uniform(0, 0, "reference layouts", index, self._draws)
            targets, block = self._layouts(self._shaped(noise), sizes)
            context = (block & ~targets.any(dim=-2)).sum(dim=-1).numpy()
            target = self._count(targets).numpy()
            large = context > self.min_keep
            if not large.any():
                raise InputError(
                    f"masking: {self.targets} targets of {sizes.target} patches leave no more than "
                    f"min_keep={self.min_keep} of a context of {sizes.context}; make target_scale "
                    "or min_keep smaller"
                )
            # As an image does: the first layout whose context is large enough.
            rows, first = large.any(axis=1), large.argmax(axis=1)
            picked = (rows.nonzero()[0], first[rows])
            self._lengths[sizes] = int(context[picked].min()), int(target[picked].min())
        return self._lengths[sizes]

    @property
    def _draws(self) -> int:
        return self.attempts * (self.targets + 1) * 2

    def _shaped(self, noise: Tensor) -> Tensor:
        return noise.unflatten(1, (self.attempts, self.targets + 1, 2))

    def draw(
        self, views: dict[str, Tensor], progress: Progress, view: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One layout for each image.

        Returns:
            Targets, B×M×N bool; context, B×K; and the order in which patches are taken where there
            are too many, B×N numbers in [0, 1).
        """
        noise = patch_noise(views, progress, f"block_noise_{view}", self._draws)
        if self.cut_bottom:
            raster = torch.arange(self.num_patches, device=noise.device) / self.num_patches
            order = raster.expand(len(noise), -1)
        else:
            order = patch_noise(views, progress, f"cut_noise_{view}", self.num_patches)
        sizes = self.sizes(progress)
        keep, length = self.lengths(sizes)
        targets, block = self._layouts(self._shaped(noise), sizes)
        free = (block & ~targets.any(dim=2)).sum(dim=2)
        fits = (free >= keep) & (self._count(targets) >= length)
        # The first layout that fits; of those that never do, the first of all.
        chosen = fits.int().argmax(dim=1)[:, None, None]
        block = block.gather(1, chosen.expand(-1, -1, self.num_patches))[:, 0]
        chosen = chosen[..., None].expand(-1, -1, self.targets, self.num_patches)
        targets = targets.gather(1, chosen)[:, 0]
        hidden = targets.any(dim=1)
        # Where no layout fits, a context takes what it lacks from the targets within its block,
        # as the official code does after its last attempt.
        context = first_by(order, keep, block & ~hidden, block)
        return targets, context, order

    def forward(self, views: dict[str, Tensor], progress: Progress, view: int = 0) -> Blocks:
        targets, context, _ = self.draw(views, progress, view)
        _, area = self.lengths(self.sizes(progress))
        ids = targets.byte().argsort(dim=2, descending=True, stable=True)
        return Blocks(context, ids[..., :area])


def first_by(order: Tensor, count: int, *preferred: Tensor) -> Tensor:
    """The first `count` patches by class, then by order; B×count in rising order.

    Args:
        order: B×N in [0, 1).
        preferred: B×N bool each; patches of the first come before those of the second, and these
            before all others.
    """
    rank = torch.zeros_like(order)
    for patches in preferred:
        rank = rank + ~patches
    return (rank + order).argsort(dim=1, stable=True)[:, :count].sort(dim=1).values


@MASKINGS.register_module()
class MergedBlockMasking(MultiblockMasking):
    """Multi-block masking whose targets are one set (CheXWorld, Yue et al., CVPR 2025, its code).

    As I-JEPA's without what is wrong with its released code: scale and aspect are independent, the
    aspect uniform in its logarithm, and blocks reach the border. The union of the targets is cut to
    equal length, too; anywhere, or under `official_code` at its end, as in the released code.

    Two views of a frame have masks of their own. (The released code gives the second view of an
    image the first view's mask of another image, by a permutation of the batch; the law of the
    masks is the same, but for an image that is permuted onto itself.)

    The arguments are those of `MultiblockMasking`; the published context is of 75–100 %.
    """

    log_aspect = True
    mended = True

    def forward(self, views: dict[str, Tensor], progress: Progress, view: int = 0) -> Blocks:
        """`Blocks` with one target of each sample, B×1×T."""
        targets, context, order = self.draw(views, progress, view)
        _, length = self.lengths(self.sizes(progress))
        union = targets.any(dim=1)
        seen = torch.zeros_like(union).scatter(1, context, True)
        return Blocks(context, first_by(order, length, union, ~seen)[:, None])

    def _count(self, targets: Tensor) -> Tensor:
        return targets.any(dim=-2).sum(dim=-1)

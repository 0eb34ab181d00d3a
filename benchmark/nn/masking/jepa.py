"""Context and target blocks of patches: the masks of I-JEPA and CheXWorld.

Both draw the *sizes* of the blocks once per step and their *positions* per image, and both need the
same number of patches from every image. Their code truncates a batch to its smallest context (and
union of targets), a number that depends on which images share a device. Here it is a function of
the sizes alone: the smallest of `REFERENCE` layouts, as many as the official runs have images per
device, averaged over `BATCHES` such batches and rounded. An image whose layout has fewer patches
draws another one, as the official code does below `min_keep`. Thus shapes are known before masks
are drawn, no value is read back from the device, and the mask of an image depends neither on the
number of processes nor on the batch size.
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
"""Images per device in the official runs of both methods."""

BATCHES = 128
"""Batches of `REFERENCE` layouts over which the smallest number of patches is averaged."""

Interval = tuple[float, float]
Size = tuple[int, int]


class Blocks(NamedTuple):
    """Patches of each sample as indices in raster order, each row sorted.

    Attributes:
        context: B×K, the patches the encoder sees.
        targets: B×M×T, the patches to predict: M blocks, or a single union of blocks.
    """

    context: Tensor
    targets: Tensor


class BlockSizes(NamedTuple):
    """Height and width in patches of the target blocks and of the context blocks of a step."""

    target: Size
    context: Size


@MASKINGS.register_module()
class MultiblockMasking(nn.Module):
    """Multi-block masking (I-JEPA, Assran et al., CVPR 2023, §3 and appendix A).

    Four possibly overlapping target blocks of 15–20 % of the image with an aspect ratio of
    0.75–1.5, and a square context block of 85–100 % from which all targets are removed.

    The released code deviates in three ways, reproduced by `official_code`: scale and aspect ratio
    share one random number, so that large blocks are always tall; no block ever reaches the last
    row and column of patches, so that on 14×14 patches the context block is 13×13 and always at the
    top left; and contexts are truncated to equal length at their end, the bottom of the image. Here
    randomly chosen patches are removed instead.

    Noise can be passed in with the views, for view k as ``block_noise_k`` (B×attempts·(M + 1)·2:
    row and column of each block) and ``cut_noise_k`` (B×N).

    Args:
        num_patches, patch_size: as in `RandomMasking`; the grid is square.
        context_scale: area of the context block relative to the image; it is a square.
        target_scale: area of a target block relative to the image.
        target_aspect: ratio of height to width of a target block.
        targets: M, number of target blocks.
        min_keep: a context must have more patches than this.
        attempts: layouts an image may draw until its context is large enough.
        official_code: see above.

    Raises:
        InputError: invalid ranges, or targets that leave no context.
    """

    log_aspect: ClassVar[bool] = False
    independent: ClassVar[bool] = False
    """Whether the released code draws scale and aspect independently and reaches the border."""

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
        self.num_patches = num_patches
        self.side = grid_side(num_patches)
        self.context_scale = context_scale
        self.target_scale = target_scale
        self.target_aspect = target_aspect
        self.targets = targets
        self.min_keep = min_keep
        self.attempts = attempts
        self.tied = official_code and not self.independent
        self.reach = self.side - int(self.tied)
        self.cut_bottom = official_code
        self._lengths: dict[BlockSizes, tuple[int, int]] = {}
        # Refuse a config that may leave no context now: the largest targets, the smallest context.
        for eighth in range(9):
            self._reference(BlockSizes(self._target(1.0, eighth / 8), self._context(0.0)), 1)

    def _block(self, scale: Interval, position: float, aspect: float) -> Size:
        """Height and width of a block whose area lies at `position` in [0, 1] of its range."""
        area = int(self.num_patches * (scale[0] + position * (scale[1] - scale[0])))
        sides = (round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect)))
        height, width = (min(max(side, 1), self.reach) for side in sides)
        return height, width

    def _context(self, position: float) -> Size:
        return self._block(self.context_scale, position, 1.0)

    def _target(self, position: float, aspect_position: float) -> Size:
        low, high = self.target_aspect
        if self.log_aspect:
            aspect = low * (high / low) ** aspect_position
        else:
            aspect = low + aspect_position * (high - low)
        return self._block(self.target_scale, position, aspect)

    def sizes(self, progress: Progress) -> BlockSizes:
        """Block sizes of all images of a step, the same on every process."""
        key = (progress.seed, progress.epoch, "block sizes", progress.step)
        scale, aspect, context = numpy_generator(*key).random(3).tolist()
        return BlockSizes(
            self._target(scale, scale if self.tied else aspect), self._context(context)
        )

    def _layouts(self, noise: Tensor, sizes: BlockSizes) -> tuple[Tensor, Tensor]:
        """Target blocks, …×M×N bool, and context block, …×N bool, from …×(M + 1)×2 samples."""
        positions = noise.split([self.targets, 1], dim=-2)
        targets, block = (self._cover(*pair) for pair in zip(positions, sizes))
        return targets, block.squeeze(-2)

    def _cover(self, positions: Tensor, size: Size) -> Tensor:
        """Patches of blocks of one size, from their positions: …×2 to …×N bool."""
        height, width = size
        cell = torch.arange(self.side, device=positions.device)
        top = (positions[..., :1] * (self.reach - height + 1)).floor()
        left = (positions[..., 1:] * (self.reach - width + 1)).floor()
        rows = (cell >= top) & (cell < top + height)
        columns = (cell >= left) & (cell < left + width)
        return (rows[..., :, None] & columns[..., None, :]).flatten(-2)

    def _count(self, targets: Tensor) -> Tensor:
        """Number of patches of a target in each layout, from its blocks, …×M×N bool."""
        return targets[..., 0, :].sum(dim=-1)

    def lengths(self, sizes: BlockSizes) -> tuple[int, int]:
        """Number of patches in the context and in a target, the same for every image.

        Raises:
            InputError: no layout leaves a context of more than `min_keep` patches.
        """
        if sizes not in self._lengths:
            counts = self._reference(sizes, BATCHES)
            context, target = (values.amin(dim=1).double().mean() for values in counts)
            self._lengths[sizes] = round(context.item()), round(target.item())
        return self._lengths[sizes]

    def _reference(self, sizes: BlockSizes, batches: int) -> tuple[Tensor, Tensor]:
        """Patches in context and target of reference layouts, both int batches×`REFERENCE`.

        Raises:
            InputError: as `lengths`.
        """
        index = torch.arange(batches * REFERENCE, device="cpu")
        context = target = torch.zeros_like(index)
        # As for an image: the first layout whose context is large enough.
        for attempt in range(self.attempts):
            open_ = (context <= self.min_keep).nonzero()[:, 0]
            if not len(open_):
                break
            noise = uniform(0, attempt, "reference layouts", open_, (self.targets + 1) * 2)
            targets, block = self._layouts(noise.unflatten(1, (-1, 2)), sizes)
            context = context.index_copy(0, open_, (block & ~targets.any(dim=-2)).sum(dim=-1))
            target = target.index_copy(0, open_, self._count(targets))
        found = context > self.min_keep
        if not found.view(batches, -1).any(dim=1).all():
            raise InputError(
                f"masking: {self.targets} targets of {sizes.target} patches leave no more than "
                f"min_keep={self.min_keep} of a context of {sizes.context}; make target_scale "
                "or min_keep smaller"
            )
        # An image without such a layout does not count towards the smallest.
        counts = (values.where(found, self.num_patches) for values in (context, target))
        context, target = (values.view(batches, REFERENCE) for values in counts)
        return context, target

    @property
    def _draws(self) -> int:
        return self.attempts * (self.targets + 1) * 2

    def _reshape(self, noise: Tensor) -> Tensor:
        return noise.unflatten(1, (self.attempts, self.targets + 1, 2))

    def draw(
        self, views: dict[str, Tensor], progress: Progress, view: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One layout per image.

        Returns:
            Targets, B×M×N bool; context, B×K; and B×N values in [0, 1) by which patches are ordered
            when there are too many.
        """
        noise = patch_noise(views, progress, f"block_noise_{view}", self._draws)
        if self.cut_bottom:
            raster = torch.arange(self.num_patches, device=noise.device) / self.num_patches
            order = raster.expand(len(noise), -1)
        else:
            order = patch_noise(views, progress, f"cut_noise_{view}", self.num_patches)
        sizes = self.sizes(progress)
        keep, length = self.lengths(sizes)
        targets, block = self._layouts(self._reshape(noise), sizes)
        free = (block & ~targets.any(dim=2)).sum(dim=2)
        fits = (free >= keep) & (self._count(targets) >= length)
        # The first layout that fits, or the first one if none does.
        chosen = fits.int().argmax(dim=1)[:, None, None]
        block = block.gather(1, chosen.expand(-1, -1, self.num_patches))[:, 0]
        chosen = chosen[..., None].expand(-1, -1, self.targets, self.num_patches)
        targets = targets.gather(1, chosen)[:, 0]
        is_target = targets.any(dim=1)
        # If no layout fits, the context is completed from the targets within its block, as in the
        # official code after its last attempt.
        context = first_by(order, keep, block & ~is_target, block)
        return targets, context, order

    def forward(self, views: dict[str, Tensor], progress: Progress, view: int = 0) -> Blocks:
        targets, context, _ = self.draw(views, progress, view)
        _, area = self.lengths(self.sizes(progress))
        ids = targets.byte().argsort(dim=2, descending=True, stable=True)
        return Blocks(context, ids[..., :area])


def first_by(order: Tensor, count: int, *preferred: Tensor) -> Tensor:
    """The first `count` patches by preference, then by order; B×count, sorted.

    Args:
        order: B×N in [0, 1).
        preferred: B×N bool each; patches of the first come before those of the second, and those
            before all others.
    """
    rank = torch.zeros_like(order)
    for patches in preferred:
        rank = rank + ~patches
    return (rank + order).argsort(dim=1, stable=True)[:, :count].sort(dim=1).values


@MASKINGS.register_module()
class MergedBlockMasking(MultiblockMasking):
    """Multi-block masking with a single union of targets (CheXWorld, Yue et al., CVPR 2025).

    I-JEPA's masking without the flaws of its released code: scale and aspect ratio are independent,
    the aspect ratio is log-uniform, and blocks reach the border. The union of the targets is cut to
    equal length as well: at random, or under `official_code` at its end, as in the released code.

    The two views of a frame have independent masks. (The released code gives the second view the
    mask of another image's first view, by permuting the batch; masks have the same distribution,
    except for an image that is permuted onto itself.)

    The arguments are those of `MultiblockMasking`; the published context is 75–100 %.
    """

    log_aspect = True
    independent = True

    def forward(self, views: dict[str, Tensor], progress: Progress, view: int = 0) -> Blocks:
        """`Blocks` with one target per sample, B×1×T."""
        targets, context, order = self.draw(views, progress, view)
        _, length = self.lengths(self.sizes(progress))
        union = targets.any(dim=1)
        in_context = torch.zeros_like(union).scatter(1, context, True)
        return Blocks(context, first_by(order, length, union, ~in_context)[:, None])

    def _count(self, targets: Tensor) -> Tensor:
        return targets.any(dim=-2).sum(dim=-1)

"""Random masking, and the mask that all masking strategies return.

A masking module is called as ``masking(views, progress) -> Mask``, without a loop over samples or
a host sync. Its random numbers are keyed by (seed, epoch, sample index), so a sample gets the same
mask in any batch; to reproduce a given mask, pass them in as ``views["mask_noise"]`` (B×N, in
(0, 1)).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.randomness import uniform
from benchmark.registry import MASKINGS
from benchmark.type_hints import Count, Rate


class Mask(NamedTuple):
    """A partition of the N patches of each sample.

    Attributes:
        ids_keep: B×K, the visible patches.
        ids_restore: B×N, position of each patch in [visible | masked] order.
        mask: B×N float, 1 = masked, 0 = visible, in raster order.
    """

    ids_keep: Tensor
    ids_restore: Tensor
    mask: Tensor


def mask_highest(priority: Tensor, keep: int) -> Mask:
    """Keep the `keep` patches of lowest priority, B×N, mask the others; ties in raster order."""
    ids_shuffle = priority.argsort(dim=1, stable=True)
    ids_restore = ids_shuffle.argsort(dim=1)
    mask = (ids_restore >= keep).to(torch.float32)
    return Mask(ids_shuffle[:, :keep], ids_restore, mask)


def visible_patches(num_patches: int, ratio: float, official_code: bool = False) -> int:
    """Number of visible patches when ⌊ratio·N⌋ are masked.

    Args:
        num_patches: N.
        ratio: fraction of masked patches.
        official_code: round the number of visible, not of masked, patches down, as the MAE code and
            those that build on it: N − ⌊(1 − ratio)·N⌋ are masked.
    """
    # Products such as 0.29 * 100 fall just below the intended integer.
    if official_code:
        masked = num_patches - int(num_patches * (1 - ratio) + 1e-6)
    else:
        masked = int(ratio * num_patches + 1e-6)
    check_masked(num_patches, masked, ratio)
    return num_patches - masked


def check_masked(count: int, masked: int, ratio: float, what: str = "patches") -> None:
    """Raise an `InputError` unless some of `count` patches are masked and some stay visible."""
    if not 0 < masked < count:
        raise InputError(
            f"masking: ratio={ratio} masks {masked} of {count} {what}; some must be masked and "
            "some stay visible"
        )


def patch_noise(views: dict[str, Tensor], progress: Progress, stream: str, count: int) -> Tensor:
    """Uniform noise of a mask, B×count: `views[stream]` if given, otherwise keyed by sample."""
    if stream in views:
        return views[stream]
    return uniform(progress.seed, progress.epoch, stream, views["index"], count)


@MASKINGS.register_module()
class RandomMasking(nn.Module):
    """Uniformly random masking (MAE, He et al., CVPR 2022).

    Args:
        num_patches: N, patches per image.
        patch_size: side of a patch in pixels.
        ratio: fraction of masked patches; some must be masked and some stay visible.
    """

    def __init__(self, num_patches: Count, patch_size: Count, ratio: Rate = 0.75) -> None:
        super().__init__()
        self.num_patches = num_patches
        self.keep = visible_patches(num_patches, ratio, official_code=True)

    def forward(self, views: dict[str, Tensor], progress: Progress) -> Mask:
        noise = patch_noise(views, progress, "mask_noise", self.num_patches)
        return mask_highest(noise, self.keep)

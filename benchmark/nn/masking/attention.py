"""Attention-driven masking and throwing (AMT)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.nn.masking.anatomy import weighted_arrival
from benchmark.nn.masking.random import Mask, RandomMasking, patch_noise
from benchmark.registry import MASKINGS
from benchmark.type_hints import Count, Natural, Rate


class TokenDroppingMask(NamedTuple):
    """A partition of the N patches of each sample into visible, masked and thrown patches.

    Attributes:
        ids_keep: B×K, the visible patches.
        ids_restore: B×N, position of each patch in [visible | masked | thrown] order.
        mask: B×N float, 1 = masked, 0 = visible or thrown, in raster order.
        ids_decode: B×(K + M), the visible and masked patches, which the decoder sees.
    """

    ids_keep: Tensor
    ids_restore: Tensor
    mask: Tensor
    ids_decode: Tensor


@MASKINGS.register_module()
class AttentionGuidedMasking(nn.Module):
    """Attention-driven masking and throwing (AMT, Liu et al., AAAI 2023, §3).

    During the warm-up, patches are masked at random. After it, all patches of a frame are sampled
    without replacement in proportion to their attention: the first ⌊ratio·N⌋ are masked, the next,
    up to ⌊(ratio + throw)·N⌋ in total, are thrown away, the rest stays visible. The patches with
    most attention are thus the likeliest to be predicted; patches without attention come last.

    Needs ``views["attention"]`` after the warm-up, B×1×H×W, non-negative, cropped like the frame
    (`benchmark.data.views.attention.AttentionView`). Noise can be passed in as
    ``views["guide_noise"]``, B×N, and ``views["mask_noise"]`` for the warm-up.

    Args:
        num_patches, patch_size, ratio: as in `RandomMasking`.
        throw: fraction of thrown patches.
        warmup_ratio: fraction of masked patches during the warm-up.
        warmup_epochs: last epoch of the warm-up, counted from 0.
        interval: epochs between two refreshes of the attention maps.

    Raises:
        InputError: no patch would be masked, or none visible.
    """

    def __init__(
        self,
        num_patches: Count,
        patch_size: Count,
        ratio: Rate = 0.45,
        throw: Rate = 0.40,
        warmup_ratio: Rate = 0.75,
        warmup_epochs: Natural = 40,
        interval: Count = 40,
    ) -> None:
        super().__init__()
        self.num_patches = num_patches
        self.patch_size = patch_size
        # Products such as 0.29 * 100 fall just below the intended integer.
        self.masked = int(num_patches * ratio + 1e-6)
        self.dropped = int(num_patches * (ratio + throw) + 1e-6)
        if not 0 < self.masked <= self.dropped < num_patches:
            raise InputError(
                f"masking: ratio={ratio} and throw={throw} mask {self.masked} and throw "
                f"{self.dropped - self.masked} of {num_patches} patches; some must be masked and "
                "some stay visible"
            )
        self.warmup = RandomMasking(num_patches, patch_size, warmup_ratio)
        self.warmup_epochs = warmup_epochs
        self.interval = interval

    def refresh_due(self, epoch: int) -> bool:
        """Whether the attention maps are refreshed before this epoch, counted from 0.

        As in the official code: after epochs divisible by `interval`, from `warmup_epochs` on.
        """
        last = epoch - 1
        return last >= self.warmup_epochs and last % self.interval == 0

    def forward(self, views: dict[str, Tensor], progress: Progress) -> Mask | TokenDroppingMask:
        if progress.epoch <= self.warmup_epochs:
            return self.warmup(views, progress)
        weights = F.avg_pool2d(views["attention"], self.patch_size).flatten(1)
        race = patch_noise(views, progress, "guide_noise", self.num_patches)
        drawn = weighted_arrival(race, weights).argsort(dim=1, stable=True)
        masked, thrown, visible = drawn.tensor_split((self.masked, self.dropped), dim=1)
        ids_decode = torch.cat([visible, masked], dim=1)
        ids_restore = torch.cat([ids_decode, thrown], dim=1).argsort(dim=1)
        not_visible = ids_restore.ge(self.num_patches - self.dropped)
        mask = (not_visible & ids_restore.lt(ids_decode.shape[1])).to(torch.float32)
        return TokenDroppingMask(visible, ids_restore, mask, ids_decode)

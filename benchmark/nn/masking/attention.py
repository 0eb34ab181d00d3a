"""Masks guided by a model's own attention, with patches that are thrown away (AMT)."""

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
    """A partition of the N patches of each sample into visible, masked and thrown ones.

    Attributes:
        ids_keep: B×K, the visible patches.
        ids_restore: B×N, for each patch its place in the order [visible | masked | thrown].
        mask: B×N float, 1 = masked, 0 = visible or thrown, in raster order.
        ids_decode: B×(K + M), the visible and the masked patches: all the decoder gets to see.
    """

    ids_keep: Tensor
    ids_restore: Tensor
    mask: Tensor
    ids_decode: Tensor


@MASKINGS.register_module()
class AttentionGuidedMasking(nn.Module):
    """Attention-driven masking and throwing (AMT, Liu et al., AAAI 2023, §3).

    While the model warms up, patches are masked at random. From then on all patches of a frame
    are drawn one after the other without replacement, with chances in proportion to the attention
    they get: the first ⌊ratio·N⌋ are masked, the next, up to ⌊(ratio + throw)·N⌋ in all, are thrown
    away, the last stay visible. So what the model attends to most is what it most often has to
    predict. A patch without any attention is drawn last.

    Needs ``views["attention"]`` after the warm-up, B×1×H×W non-negative, cut out like the frame
    (`benchmark.data.views.attention.AttentionView`). The random numbers of the draw can be passed
    in as ``views["guide_noise"]``, B×N; those of the warm-up as ``views["mask_noise"]``.

    Args:
        num_patches: N, patches per image.
        patch_size: side of a patch in pixels.
        ratio: share of masked patches.
        throw: share of thrown patches.
        warmup_ratio: share of masked patches in the warm-up.
        warmup_epochs: the last epoch, counted from 0, that still belongs to the warm-up.
        interval: epochs between two refreshes of the attention maps.

    Raises:
        InputError: shares that leave no masked or no visible patch, or an interval below 1.
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
        # Products such as 0.29 * 100 fall just short of the integer that is meant.
        self.masked = int(num_patches * ratio + 1e-6)
        self.dropped = int(num_patches * (ratio + throw) + 1e-6)
        if not 0 < self.masked <= self.dropped < num_patches:
            raise InputError(
                f"masking: ratio={ratio} and throw={throw} mask {self.masked} and throw "
                f"{self.dropped - self.masked} of {num_patches} patches; some must be masked and "
                "some stay visible"
            )
        if interval < 1:
            raise InputError(f"masking: interval={interval} must be at least 1")
        self.warmup = RandomMasking(num_patches, patch_size, warmup_ratio)
        self.warmup_epochs = warmup_epochs
        self.interval = interval

    def due(self, epoch: int) -> bool:
        """Whether the attention maps are made anew before this epoch, counted from 0.

        The official code makes them after epochs `warmup_epochs`, + `interval`, …
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
        hidden = ids_restore.ge(self.num_patches - self.dropped)
        mask = (hidden & ids_restore.lt(ids_decode.shape[1])).to(torch.float32)
        return TokenDroppingMask(visible, ids_restore, mask, ids_decode)

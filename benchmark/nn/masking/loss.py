"""Masking guided by the predicted loss (HPM, Wang et al., CVPR 2023, §3.3)."""

from __future__ import annotations

from torch import Tensor, nn

from benchmark.method import Progress
from benchmark.nn.masking.random import Mask, RandomMasking, mask_highest, patch_noise
from benchmark.registry import MASKINGS
from benchmark.type_hints import Count, Rate


@MASKINGS.register_module()
class LossGuidedMasking(nn.Module):
    """Easy-to-hard masking of HPM.

    A fraction α_e of the masked patches are those of highest predicted loss; the rest is sampled
    uniformly from the other patches. As in the released code, α_e = α_0 + (e + 1)/E · (α_E − α_0)
    over the epochs e = 0 … E − 1: by default from random masks to half hard, half random ones.

    Needs ``views["predicted_loss"]``, B×N on any scale; noise as in `RandomMasking`.

    Args:
        num_patches, patch_size, ratio: as in `RandomMasking`.
        hard_start: α_0, fraction of the masked patches that are the hardest.
        hard_end: α_E.
    """

    def __init__(
        self,
        num_patches: Count,
        patch_size: Count,
        ratio: Rate = 0.75,
        hard_start: Rate = 0.0,
        hard_end: Rate = 0.5,
    ) -> None:
        super().__init__()
        self.num_patches = num_patches
        self.keep = RandomMasking(num_patches, patch_size, ratio).keep
        self.hard_start = hard_start
        self.hard_end = hard_end

    def num_hard(self, progress: Progress) -> int:
        """Number of patches masked for their predicted loss, ⌊α_e · masked⌋."""
        done = (progress.epoch + 1) / progress.epochs
        alpha = self.hard_start + done * (self.hard_end - self.hard_start)
        return int(alpha * (self.num_patches - self.keep) + 1e-6)

    def forward(self, views: dict[str, Tensor], progress: Progress) -> Mask:
        noise = patch_noise(views, progress, "mask_noise", self.num_patches)
        hardest_first = views["predicted_loss"].argsort(dim=1, descending=True, stable=True)
        chosen = hardest_first.argsort(dim=1) < self.num_hard(progress)
        # Noise lies in (0, 1): adding 1 ranks the chosen patches above all others.
        return mask_highest(noise + chosen, self.keep)

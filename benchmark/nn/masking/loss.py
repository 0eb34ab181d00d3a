"""Masks guided by the loss a model expects of itself (HPM, Wang et al., CVPR 2023, §3.3)."""

from __future__ import annotations

from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.nn.masking.random import Mask, RandomMasking, mask_highest, patch_noise
from benchmark.registry import MASKINGS
from benchmark.type_hints import Count, Rate


@MASKINGS.register_module()
class LossGuidedMasking(nn.Module):
    """Easy-to-hard masking of HPM.

    Of the masked patches, the share α_e is those of highest predicted loss; the others are uniform
    among what is left. α_e = α_0 + (e + 1)/E · (α_E − α_0) rises over the epochs e = 0 … E − 1, as
    in the released code, so that masks turn from random to half hard, half random.

    Needs ``views["predicted_loss"]``, B×N on any scale; random numbers as in `RandomMasking`.

    Args:
        num_patches: N, patches per image.
        patch_size: side of a patch in pixels.
        ratio: share of masked patches.
        hard_start: α_0, share of the masked patches that are the hardest, in [0, 1].
        hard_end: α_E.

    Raises:
        InputError: a share outside [0, 1], or a ratio without a visible or without a masked patch.
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
        for name, value in (("hard_start", hard_start), ("hard_end", hard_end)):
            if not 0 <= value <= 1:
                raise InputError(f"masking: {name}={value} must lie in [0, 1]")
        self.num_patches = num_patches
        self.keep = RandomMasking(num_patches, patch_size, ratio).keep
        self.hard_start = hard_start
        self.hard_end = hard_end

    def hard(self, progress: Progress) -> int:
        """Patches masked for their predicted loss, ⌊α_e · masked⌋."""
        done = (progress.epoch + 1) / progress.epochs
        share = self.hard_start + done * (self.hard_end - self.hard_start)
        return int(share * (self.num_patches - self.keep) + 1e-6)

    def forward(self, views: dict[str, Tensor], progress: Progress) -> Mask:
        noise = patch_noise(views, progress, "mask_noise", self.num_patches)
        hardest_first = views["predicted_loss"].argsort(dim=1, descending=True, stable=True)
        chosen = hardest_first.argsort(dim=1) < self.hard(progress)
        # Noise lies in (0, 1): adding 1 puts the chosen patches behind all others.
        return mask_highest(noise + chosen, self.keep)

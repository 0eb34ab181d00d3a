"""Vascular-anatomy-guided masking (VasoMIM)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.method import Progress
from benchmark.nn.masking.random import Mask, mask_highest, patch_noise, visible_patches
from benchmark.registry import MASKINGS
from benchmark.type_hints import Count, Rate


def patch_weights(guidance: Tensor, patch_size: int) -> Tensor:
    """Fraction of the guidance, B×1×H×W, in each patch: f(g_i) of VasoMIM, B×N.

    Rows sum to 1; the row of a sample without guidance is zero.
    """
    density = F.avg_pool2d(guidance, patch_size).flatten(1)
    total = density.sum(dim=1, keepdim=True)
    return torch.where(total > 0, density / total.clamp_min(torch.finfo(density.dtype).tiny), 0.0)


def vascular_guidance(views: dict[str, Tensor], eta: float) -> Tensor:
    """G = η·B + (1 − η)·M of VasoMIM, B×1×H×W in [0, 1].

    B is ``views["anatomy"]``, not needed if η = 0; M is ``views["probability"]``, not needed if
    η = 1.
    """
    if eta == 1:
        return views["anatomy"]
    if eta == 0:
        return views["probability"]
    return eta * views["anatomy"] + (1 - eta) * views["probability"]


def weighted_arrival(noise: Tensor, weights: Tensor) -> Tensor:
    """Weighted sampling without replacement, batched: sorting by the result, B×N, draws patches.

    Keys −log(u)/w of Efraimidis & Spirakis (2006), the arrival times of an exponential race, with u
    in (0, 1) and w ≥ 0 on any scale. Patches of zero weight never arrive (infinity).
    """
    return torch.where(weights > 0, -noise.log() / weights, torch.inf)


@MASKINGS.register_module()
class AnatomyGuidedMasking(nn.Module):
    """Vascular-anatomy-guided masking of VasoMIM (`docs/protocol.md`, pre-training).

    Guidance G = η·B + (1 − η)·M mixes the extracted vessels B with the segmentor's probability map
    M. Of the ⌊γN⌋ masked patches, ⌊β_e·γN⌋ are sampled without replacement from f(g_i), the
    fraction of the guidance in each patch, and the others uniformly from the remaining patches. If
    fewer patches than that have guidance, all of them are masked; a frame without guidance is
    masked at random.

    The released code masks N − ⌊(1 − γ)N⌋ patches, of which ⌊β_e times that number⌋ are guided. Of
    196 patches these are 79, 118 and 177 for γ = 0.4, 0.6 and 0.9 instead of 78, 117 and 176, and
    the same for 0.25, 0.5 and 0.75. The default is the paper's count; `official_code` the code's.

    Args:
        num_patches, patch_size, ratio: as in `RandomMasking`; the ratio is γ.
        eta: η, weight of the extracted vessels; 1 is VasoMIM-v1, 0 the probability map alone.
        beta_start: β_0, guided fraction of the masked patches at the start.
        beta_end: β_E, guided fraction of the masked patches at the end.
        uniform_among_vessels: sample guided patches uniformly from those with vessel pixels
            instead of from f (journal table VII, last row).
        official_code: count masked patches as the released code does, see above.
    """

    def __init__(
        self,
        num_patches: Count,
        patch_size: Count,
        ratio: Rate = 0.5,
        eta: Rate = 0.5,
        beta_start: Rate = 0.0,
        beta_end: Rate = 0.5,
        uniform_among_vessels: bool = False,
        official_code: bool = False,
    ) -> None:
        super().__init__()
        self.num_patches = num_patches
        self.patch_size = patch_size
        self.ratio = ratio
        self.keep = visible_patches(num_patches, ratio, official_code)
        self.eta = eta
        self.beta_start = beta_start
        self.beta_end = beta_end
        self.uniform_among_vessels = uniform_among_vessels
        self.official_code = official_code

    def beta(self, progress: Progress) -> float:
        """β_e, linear over the epochs; the epoch counts from 1, as in the released code."""
        done = (progress.epoch + 1) / progress.epochs
        return self.beta_start + done * (self.beta_end - self.beta_start)

    def guided(self, progress: Progress) -> int:
        """Number of guided patches: ⌊β_e·γN⌋, without rounding γN."""
        if self.official_code:
            return int((self.num_patches - self.keep) * self.beta(progress))
        return int(self.beta(progress) * self.ratio * self.num_patches + 1e-6)

    def guidance(self, views: dict[str, Tensor]) -> Tensor:
        """G, B×1×H×W in [0, 1]."""
        return vascular_guidance(views, self.eta)

    def weights(self, views: dict[str, Tensor]) -> Tensor:
        """Distribution of the guided patches, B×N."""
        if self.uniform_among_vessels:
            vessel = F.max_pool2d(views["anatomy"], self.patch_size).flatten(1)
            return vessel / vessel.sum(dim=1, keepdim=True).clamp_min(1)
        return patch_weights(self.guidance(views), self.patch_size)

    def forward(self, views: dict[str, Tensor], progress: Progress) -> Mask:
        weights = self.weights(views).float()
        noise = patch_noise(views, progress, "mask_noise", self.num_patches)
        race = patch_noise(views, progress, "guide_noise", self.num_patches)

        arrival = weighted_arrival(race, weights)
        rank = arrival.argsort(dim=1, stable=True).argsort(dim=1)
        chosen = (rank < self.guided(progress)) & (weights > 0)
        # Noise lies in (0, 1): adding 1 ranks the chosen patches above all others.
        return mask_highest(noise + chosen, self.keep)


def vessel_share(mask: Mask, anatomy: Tensor, patch_size: int) -> Tensor:
    """Fraction of vessel patches among the masked ones (journal figure 5), a scalar in [0, 1].

    A vessel patch has at least one pixel of 1 in `anatomy`, B×1×H×W.
    """
    vessel = F.max_pool2d(anatomy, patch_size).flatten(1)
    return (mask.mask * vessel).sum() / mask.mask.sum()

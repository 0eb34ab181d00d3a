"""The average precision of a linear probe on the patch features of an encoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmark.data.views.imagenet import IMAGENET_MEAN, IMAGENET_STD
from benchmark.nn.backbones.base import Encoder
from benchmark.nn.linear_probe import average_precision, fit_logistic, standardise_as
from benchmark.training.probing.frames import ProbeFrames

_BATCH = 32
"""Frames of one forward pass, few enough for any device that trains."""


@dataclass(frozen=True)
class ProbeResult:
    """What a probe reaches on patches of other patients.

    Attributes:
        average_precision: in percent; None where the features are not finite.
        chance: share of vessel patches, in percent, the average precision of any constant score.
    """

    average_precision: float | None
    chance: float


@torch.no_grad()
def patch_features(encoder: Encoder, images: Tensor) -> Tensor:
    """Features of patches: uint8 n×S×S to float32 (n·N)×D, frame by frame in raster order.

    From the coarsest feature map: for a transformer, its patch tokens after the final norm.
    Images are normalised as the description of an exported encoder says.

    Args:
        encoder: in evaluation mode, on any device.
    """
    device = next(encoder.parameters()).device
    mean, std = (
        torch.tensor(v, device=device)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD)
    )
    found = []
    with torch.autocast(device.type, enabled=False):
        for part in images.split(_BATCH):
            gray = part.to(device)[:, None].float() / 255
            maps = encoder.feature_maps((gray - mean) / std)[-1]
            found.append(maps.float().flatten(2).transpose(1, 2).flatten(0, 1))
    return torch.cat(found)


def probe(
    encoder: nn.Module, fit: ProbeFrames, score: ProbeFrames, c: float, iterations: int
) -> ProbeResult:
    """Fit logistic regression on the patches of `fit`, and rank those of `score` by it.

    Features are standardised with the statistics of those it is fitted on.

    Args:
        encoder: an `Encoder` in evaluation mode.
        fit, score: each with vessel and background patches.
        c, iterations: of `fit_logistic`.
    """
    chance = 100 * score.vessel.float().mean().item()
    seen, unseen = (patch_features(encoder, frames.images) for frames in (fit, score))
    if not (seen.isfinite().all() and unseen.isfinite().all()):
        return ProbeResult(None, chance)
    labels = fit.vessel.flatten().to(seen.device)
    weights, bias = fit_logistic(standardise_as(seen, seen), labels, c, iterations)
    scores = standardise_as(seen, unseen) @ weights + bias
    precision = average_precision(score.vessel.flatten().numpy(), scores.cpu().numpy())
    return ProbeResult(100 * precision, chance)

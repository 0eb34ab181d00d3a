"""A linear probe for vessel patches on the frozen encoder, with extracted anatomy as labels.

No annotation is used: the labels are the vessel masks of the packs. The probe is fitted on frames
of some patients and scored on frames of others, always the same ones, whatever method is trained
and with whatever seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.data.packs import PackCollection, PackSubset
from benchmark.data.views.crop import Crop, crop_bicubic, crop_nearest
from benchmark.data.views.imagenet import IMAGENET_MEAN, IMAGENET_STD
from benchmark.errors import InputError
from benchmark.nn.backbones.base import Encoder
from benchmark.nn.linear_probe import average_precision, fit_logistic, standardise_as
from benchmark.randomness import permutation, stream_key

if TYPE_CHECKING:  # imported where it is used: half a second, too long for reading a config
    import pandas as pd

_READ = 32
"""Frames that are read at once."""
_BATCH = 32
"""Frames of one forward pass, few enough for any device that trains."""


@dataclass(frozen=True)
class ProbeFrames:
    """n complete frames at the size of a network, and which of their patches are vessel.

    Attributes:
        images: uint8, n×S×S.
        vessel: bool, n×(S/stride)²; a patch with at least one vessel pixel, in raster order.
        patients: how many they come from.
    """

    images: Tensor
    vessel: Tensor
    patients: int


def choose_frames(packs: PackCollection | PackSubset, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The frames to fit and to score a probe on, half of `count` each, of different patients.

    Rows of the complete packs, sorted. If frames were held out of the training, the probe is scored
    on those and fitted on the others; else every second patient, in the order of a hash, is for the
    score. Each half has as many patients as it can. A frame of an unknown patient counts as a
    patient of its own, or together with its video. A function of the packs and `count` alone.

    Raises:
        InputError: the frames are all of one patient.
    """
    complete = packs.packs if isinstance(packs, PackSubset) else packs
    index = complete.index
    names = index["group"].fillna(index["video"]).fillna(index["path"])
    patients = index["source"] + "/" + names.astype(str)
    trained = packs.keys(np.arange(len(packs)))
    held_out = packs.held_out if isinstance(packs, PackSubset) else None
    if held_out is not None:
        halves = trained, held_out
    else:
        known = np.array(sorted(patients.iloc[trained].unique()))
        if len(known) < 2:
            raise InputError("its frames are of one patient, and the probe needs a second one")
        order = known[permutation(stream_key("probe", "patients"), 0, len(known))]
        scored = patients.iloc[trained].isin(order[1::2]).to_numpy()
        halves = trained[~scored], trained[scored]
    rank = permutation(stream_key("probe", "frames"), 0, len(index))
    fit, score = (_spread(patients, rank, rows, max(1, count // 2)) for rows in halves)
    return fit, score


def _spread(patients: pd.Series, rank: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
    """`count` of the rows in the order of `rank`, one frame per patient before second ones."""
    import pandas as pd

    frames = pd.DataFrame({"rank": rank[rows], "patient": patients.iloc[rows].to_numpy()})
    frames = frames.set_index(rows).sort_values("rank")
    frames["turn"] = frames.groupby("patient").cumcount()
    return np.sort(frames.sort_values(["turn", "rank"]).index.to_numpy()[:count])


def read_frames(
    packs: PackCollection | PackSubset, rows: np.ndarray, size: int, stride: int
) -> ProbeFrames:
    """The valid area of frames, resized to size×size, with their patches of stride×stride.

    Args:
        packs: all with vessel masks.
        rows: of the complete packs.
    """
    complete = packs.packs if isinstance(packs, PackSubset) else packs
    images, vessel = [], []
    for start in range(0, len(rows), _READ):
        frames, bits, valid = complete.gather(rows[start : start + _READ])
        height, width = torch.from_numpy(valid).unbind(1)
        corner = torch.zeros_like(height)
        crop = Crop(corner, corner, height, width, flip=corner.bool())
        images.append(crop_bicubic(torch.from_numpy(frames), crop, size).byte())
        masks = crop_nearest(torch.from_numpy(bits), crop, size)[:, None]
        vessel.append(F.max_pool2d(masks, stride).flatten(1) > 0)
    groups = complete.index.iloc[rows]["group"]
    patients = groups.nunique() + int(groups.isna().sum())
    return ProbeFrames(torch.cat(images), torch.cat(vessel), patients)


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

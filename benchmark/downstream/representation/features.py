"""Patch features of an exported encoder on the labelled frames of a segmentation task."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from mmengine.config import Config

from benchmark.data.tasks import TaskFolder
from benchmark.downstream.frozen.encoded import EncodedFrames
from benchmark.encoders.card import EncoderCard
from benchmark.errors import InputError
from benchmark.randomness import permutation, stream_key


@dataclass(frozen=True, eq=False)
class PatchFeatures:
    """n patches, ordered by frame and in raster order.

    Attributes:
        features: float32, n×D.
        vessel: bool, n.
        frame: int64, n; index of the patch's frame in the split.
        parameters: parameter count of the encoder.
    """

    features: np.ndarray
    vessel: np.ndarray
    frame: np.ndarray
    parameters: int


def label_patches(mask: np.ndarray, side: int, vessel_pixels: int) -> np.ndarray:
    """Which patches are vessel: bool H×W to bool (H/side)×(W/side).

    A patch with at least `vessel_pixels` pixels of the mask is; all others are background. The
    papers do not state their rule.
    """
    rows, columns = mask.shape[0] // side, mask.shape[1] // side
    counts = mask.reshape(rows, side, columns, side).sum(axis=(1, 3))
    return counts >= vessel_pixels


def sample_patches(total: int, count: int, seed: int) -> np.ndarray:
    """Numbers sampled from `total` patches, int64, sorted: all, or `count` uniformly at random.

    Vessel and background patches keep their shares, up to chance. The result depends on the
    arguments alone: all encoders with patches of one size are compared on the same ones.
    """
    if total <= count:
        return np.arange(total)
    return np.sort(permutation(stream_key(seed, "patches"), 0, total)[:count])


def extract_features(config: Config, folder: TaskFolder) -> tuple[PatchFeatures, EncoderCard]:
    """Apply an encoder to the frames of a split, and keep the features of sampled patches.

    Frames and features are those of `EncodedFrames`. Memory grows with ``config.patches``, not with
    the number of frames.

    Args:
        config: from `benchmark.downstream.frozen.compose`, with its seed.
        folder: the prepared task.

    Returns:
        The features, and the card of the encoder.

    Raises:
        InputError: the encoder is missing, damaged, or does not fit the image size; the split is
            missing or empty; or the sampled patches are all vessel or all background.
    """
    encoded = EncodedFrames(config, folder, config.split)
    per_frame = encoded.side**2
    sampled = sample_patches(len(encoded.items) * per_frame, config.patches, config.seed)
    features = np.empty((len(sampled), encoded.width), dtype=np.float32)
    vessel = np.empty(len(sampled), dtype=bool)
    for indices, maps, truth in encoded.batches():
        bounds = np.array([indices.start, indices.stop]) * per_frame
        first, last = np.searchsorted(sampled, bounds)
        chosen = sampled[first:last] - bounds[0]
        tokens = maps.flatten(2).transpose(1, 2).flatten(0, 1)
        features[first:last] = tokens[torch.from_numpy(chosen).to(tokens.device)].cpu().numpy()
        labels = [
            label_patches(mask > 0, encoded.stride, config.vessel_pixels).ravel() for mask in truth
        ]
        vessel[first:last] = np.concatenate(labels)[chosen]
    if not np.isfinite(features).all():
        raise InputError(
            f"{config.model.backbone.folder}: features of {folder.path} are not finite"
        )
    require_both(vessel, config.split, config, folder)
    frames = sampled // per_frame
    return PatchFeatures(features, vessel, frames, encoded.parameters), encoded.card


def require_both(vessel: np.ndarray, split: str, config: Config, folder: TaskFolder) -> None:
    """Refuse patches of a single class, or none, which cannot be compared with another."""
    if vessel.all() or not vessel.any():
        what = "vessel" if vessel.any() else "background"
        raise InputError(
            f"{folder.path}: all {len(vessel)} patches of split {split!r} are {what}; "
            f"change vessel_pixels={config.vessel_pixels}, or use another dataset"
        )

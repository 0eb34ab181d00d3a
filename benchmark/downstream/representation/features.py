"""Patch features of an exported encoder on the labelled frames of a segmentation task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmseg.models.data_preprocessor import SegDataPreProcessor

from benchmark.data.tasks import TaskFolder
from benchmark.device import device
from benchmark.downstream.backbone import check_channels, check_patches
from benchmark.downstream.segmentation.dataset import LoadTruth, SegmentationDataset
from benchmark.downstream.segmentation.model import normalised_as
from benchmark.downstream.segmentation.task import image_size
from benchmark.encoders.encoder import EncoderCard, load_encoder
from benchmark.errors import InputError
from benchmark.randomness import permutation, stream_key
from benchmark.registry import build


@dataclass(frozen=True, eq=False)
class PatchFeatures:
    """n patches, ordered by frame and in raster order.

    Attributes:
        features: float32, n×D.
        vessel: bool, n.
        frame: int64, n; index of the patch's frame in the split.
    """

    features: np.ndarray
    vessel: np.ndarray
    frame: np.ndarray


def label_patches(mask: np.ndarray, side: int, vessel_pixels: int) -> np.ndarray:
    """Which patches are vessel: bool H×W to bool (H/side)×(W/side).

    A patch with at least `vessel_pixels` pixels of the mask is; all others are background. The
    papers do not state their rule.
    """
    rows, columns = mask.shape[0] // side, mask.shape[1] // side
    counts = mask.reshape(rows, side, columns, side).sum(axis=(1, 3))
    return counts >= vessel_pixels


def sample_patches(total: int, count: int, seed: int) -> np.ndarray:
    """The sampled ones of `total` patches, int64, sorted: all, or `count` uniformly at random.

    Vessel and background patches keep their shares, up to chance. A function of the arguments
    alone: all encoders with patches of one size are compared on the same ones.
    """
    if total <= count:
        return np.arange(total)
    return np.sort(permutation(stream_key(seed, "patches"), 0, total)[:count])


def extract_features(config: Config, folder: TaskFolder) -> tuple[PatchFeatures, EncoderCard]:
    """Apply an encoder to the frames of a split, and keep the features of sampled patches.

    Frames are resized and normalised as fine-tuning shows them in its test; the mask is resized
    like the frame, by nearest neighbour. Features are those of the coarsest feature map: of a
    transformer its patch tokens after the final norm (where it has one), without prefix tokens.
    Memory grows with ``config.patches``, not with the number of frames.

    Args:
        config: from `benchmark.downstream.representation.compose`, with its seed.
        folder: the prepared task.

    Returns:
        The features, and the card of the encoder.

    Raises:
        InputError: the encoder is missing, damaged, or does not fit the image size; the split is
            missing or empty; or the sampled patches are all vessel or all background.
    """
    origin = config.model.backbone.folder
    encoder, card = load_encoder(origin)
    check_channels(card, origin)
    size, stride = image_size(config.test_pipeline), card.strides[-1]
    check_patches(card, size)
    dataset = SegmentationDataset(folder, config.split, _with_truth(config.test_pipeline))
    per_frame = (size // stride) ** 2
    sampled = sample_patches(len(dataset.items) * per_frame, config.patches, config.seed)
    preprocessor = _preprocessor(config, card).to(device())
    encoder.to(device()).eval()
    features = np.empty((len(sampled), card.widths[-1]), dtype=np.float32)
    vessel = np.empty(len(sampled), dtype=bool)
    for start in range(0, len(dataset.items), config.micro_batch):
        indices = range(start, min(start + config.micro_batch, len(dataset.items)))
        bounds = np.array([indices.start, indices.stop]) * per_frame
        first, last = np.searchsorted(sampled, bounds)
        chosen = sampled[first:last] - bounds[0]
        batch = preprocessor(pseudo_collate([dataset[index] for index in indices]))
        with torch.no_grad():
            maps = encoder.feature_maps(batch["inputs"])[-1].float()
        tokens = maps.flatten(2).transpose(1, 2).flatten(0, 1)
        features[first:last] = tokens[torch.from_numpy(chosen).to(tokens.device)].cpu().numpy()
        masks = [sample.gt_sem_seg.data[0].cpu().numpy() > 0 for sample in batch["data_samples"]]
        labels = [label_patches(mask, stride, config.vessel_pixels).ravel() for mask in masks]
        vessel[first:last] = np.concatenate(labels)[chosen]
    if not np.isfinite(features).all():
        raise InputError(f"{origin}: features of {folder.path} are not finite")
    _require_both(vessel, config, folder)
    return PatchFeatures(features, vessel, sampled // per_frame), card


def _with_truth(pipeline: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The pipeline of the test, which loads no mask, with one that is resized along."""
    steps = list(pipeline)
    place = next(k for k, step in enumerate(steps) if step["type"] is LoadImageFromFile)
    return [*steps[: place + 1], dict(type=LoadTruth), *steps[place + 1 :]]


def _preprocessor(config: Config, card: EncoderCard) -> SegDataPreProcessor:
    return build(normalised_as(config.model.data_preprocessor, card))


def _require_both(vessel: np.ndarray, config: Config, folder: TaskFolder) -> None:
    """Refuse patches of one class, which cannot be compared with another."""
    if not len(vessel) or vessel.all() or not vessel.any():
        what = "vessel" if vessel.any() else "background"
        raise InputError(
            f"{folder.path}: all {len(vessel)} patches of split {config.split!r} are {what}; "
            f"change vessel_pixels={config.vessel_pixels}, or use another dataset"
        )

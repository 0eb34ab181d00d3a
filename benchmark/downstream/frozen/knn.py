"""Protocol ``knn``: vessel patches by the weighted nearest neighbours of their features.

As DINO evaluates image features (Caron et al., ICCV 2021): the k training patches with the highest
cosine similarity s vote for their class with weights exp(s / temperature). Nothing is trained.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from mmengine.config import Config
from sklearn.metrics import average_precision_score
from torch import Tensor

from benchmark.device import device
from benchmark.downstream.frozen.features import FeatureCache, FrameFeatures, labelled_frames
from benchmark.downstream.representation.features import (
    label_patches,
    require_both,
    sample_patches,
)
from benchmark.downstream.segmentation.metrics import dice_of_counts
from benchmark.downstream.segmentation.task import image_size
from benchmark.errors import InputError

_SIMILARITIES = 1 << 26
"""Maximum number of similarities held at once, 256 MB."""


def knn_definitions(config: Config) -> dict[str, str]:
    """Metric → definition id, with every setting that the values depend on.

    Args:
        config: from `compose_frozen`.
    """
    size = image_size(config.test_pipeline)
    patches = f"{config.vessel_pixels}px-{size}x{size}-patch{config.patch}-max{config.patches}"
    votes = f"cosine-k{config.neighbours}-t{config.temperature:g}/{patches}"
    return {
        "patch_ap": f"average-precision/vessel-patches/pooled/knn-{votes}/v1",
        "patch_dsc": f"dsc/vessel-patches/per-image-mean/empty=1/knn-{votes}/v1",
        "patch_chance": f"share/vessel-patches/pooled/{patches}/v1",
    }


def knn_shares(
    bank: Tensor, vessel: Tensor, queries: Tensor, neighbours: int, temperature: float
) -> Tensor:
    """The weighted share of vessel among the nearest neighbours, float32 m in [0, 1].

    Exact: every query is compared with the complete bank, in chunks that bound the memory.

    Args:
        bank: features n×D.
        vessel: bool n, classes of the bank.
        queries: features m×D.
        neighbours: k; all if the bank is smaller.
        temperature: temperature of the weights.
    """
    bank, vessel = F.normalize(bank, dim=1), vessel.float()
    count = min(neighbours, len(bank))
    found = []
    for part in queries.split(max(1, _SIMILARITIES // len(bank))):
        similarity, nearest = (F.normalize(part, dim=1) @ bank.T).topk(count, dim=1)
        # Relative to the nearest one, which changes no share and keeps exp in range.
        # In float64, which has room for any temperature.
        votes = ((similarity - similarity[:, :1]).double() / temperature).exp()
        found.append(((votes * vessel[nearest]).sum(dim=1) / votes.sum(dim=1)).float())
    return torch.cat(found)


def score_knn(
    cache: FeatureCache, config: Config, seed: int
) -> tuple[dict[str, float], pd.DataFrame]:
    """Scores in percent of the test split, and of each of its frames.

    Args:
        cache: the features.
        config: from `compose_frozen`.
        seed: seed of the sample of training patches, where there are more than ``config.patches``.

    Returns:
        The metrics of `knn_definitions` (``patch_chance``: the share of vessel patches, which is
        the average precision of uninformative features), and one row per frame: image, its vessel
        and background patches, average precision (NaN without vessel patches) and DSC.

    Raises:
        InputError: as `FeatureCache.load`; the size of a patch does not divide that of the frames;
            or patches are all vessel or all background.
    """
    bank, vessel = _bank(cache, config, seed)
    rows, every_share, every_label = [], [], []
    items = cache.folder.splits["test"]
    for index, features, labels in frame_patches(cache.load("test"), config):
        shares = knn_shares(
            bank, vessel, features.to(bank.device), config.neighbours, config.temperature
        )
        shares = shares.cpu().numpy()
        predicted = shares > 0.5
        overlap, total = (predicted & labels).sum(), predicted.sum() + labels.sum()
        rows.append(
            {
                "image": items[index]["stem"],
                "vessel_patches": int(labels.sum()),
                "background_patches": int((~labels).sum()),
                "patch_ap": 100 * average_precision(labels, shares),
                "patch_dsc": 100 * float(dice_of_counts(overlap, total)),
            }
        )
        every_share.append(shares)
        every_label.append(labels)
    shares, labels = np.concatenate(every_share), np.concatenate(every_label)
    require_both(labels, "test", config, cache.folder)
    scores = pd.DataFrame(rows)
    metrics = {
        "patch_ap": 100 * average_precision(labels, shares),
        "patch_dsc": float(scores["patch_dsc"].mean()),
        "patch_chance": 100 * float(labels.mean()),
    }
    return metrics, scores


def average_precision(labels: np.ndarray, shares: np.ndarray) -> float:
    """In [0, 1], NaN where nothing is positive."""
    return float(average_precision_score(labels, shares)) if labels.any() else float("nan")


def _bank(cache: FeatureCache, config: Config, seed: int) -> tuple[Tensor, Tensor]:
    """The training patches to compare with: features n×D on the device, and classes."""
    frames = labelled_frames(config, cache.folder, seed)
    train = cache.load("train")
    per_frame = (image_size(config.test_pipeline) // config.patch) ** 2
    sampled = sample_patches(len(frames) * per_frame, config.patches, seed)
    bank = np.empty((len(sampled), train.features.shape[-1]), dtype=np.float32)
    vessel = np.empty(len(sampled), dtype=bool)
    for index, features, labels in frame_patches(train, config, frames):
        first, last = np.searchsorted(sampled, (index * per_frame, (index + 1) * per_frame))
        chosen = sampled[first:last] - index * per_frame
        bank[first:last] = features.numpy()[chosen]
        vessel[first:last] = labels[chosen]
    require_both(vessel, "train", config, cache.folder)
    return torch.from_numpy(bank).to(device()), torch.from_numpy(vessel).to(device())


def frame_patches(
    found: FrameFeatures, config: Config, frames: np.ndarray | None = None
) -> Iterator[tuple[int, Tensor, np.ndarray]]:
    """The patches of frames, one frame after the other in raster order.

    Args:
        frames: which ones; None for all.

    Yields:
        The frame's number among `frames`, features n×D on the CPU, and bool n whether each is
        vessel.
    """
    size = found.truth.shape[-1]
    if size % config.patch:
        raise InputError(f"patch={config.patch}: does not divide the image size {size}")
    side = size // config.patch
    for index, frame in enumerate(range(len(found.truth)) if frames is None else frames):
        maps = torch.from_numpy(np.array(found.features[frame])).permute(2, 0, 1)
        if maps.shape[1:] != (side, side):
            maps = F.interpolate(maps[None], (side, side), mode="bilinear", antialias=True)[0]
        labels = label_patches(found.truth[frame] > 0, config.patch, config.vessel_pixels)
        yield index, maps.flatten(1).T.contiguous(), labels.ravel()

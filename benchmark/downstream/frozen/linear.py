"""Protocol ``linear``: a batch norm and one linear layer on the patch features of an encoder.

As DINOv2 and DINOv3 evaluate features for segmentation: the logits of the patches are up-sampled
bilinearly. Losses, prediction and scores are those of fine-tuning.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors import EncoderDecoder
from mmseg.models.utils import resize
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from benchmark.data.tasks import TaskFolder
from benchmark.device import device
from benchmark.downstream.frozen.features import FeatureCache, FrameFeatures, labelled_frames
from benchmark.downstream.frozen.knn import average_precision, frame_patches
from benchmark.downstream.segmentation.metrics import SegmentationMetric
from benchmark.downstream.segmentation.task import image_size
from benchmark.downstream.task import reset_parameters
from benchmark.errors import InputError
from benchmark.openmmlab.quiet import quiet_libraries
from benchmark.randomness import permutation, uniform
from benchmark.registry import MODELS, build


@MODELS.register_module()
class LinearHead(BaseDecodeHead):
    """Batch norm and a 1×1 convolution on the coarsest map.

    Args:
        in_channels: width D of the map.
        kwargs: arguments of mmsegmentation's `BaseDecodeHead` (classes, losses, threshold).
    """

    def __init__(self, in_channels: int, **kwargs: Any) -> None:
        super().__init__(
            in_channels=in_channels,
            channels=in_channels,
            dropout_ratio=0.0,
            init_cfg=None,
            **kwargs,
        )
        self.norm = nn.BatchNorm2d(in_channels)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """(…, map B×D×h×w) to logits B×classes×h×w."""
        return self.cls_seg(self.norm(self._transform_inputs(inputs)))


@MODELS.register_module()
class FeatureBackbone(nn.Module):
    """The identity: the input is already the feature map of the encoder."""

    def forward(self, maps: Tensor) -> tuple[Tensor]:
        return (maps,)


def build_linear(config: Config, width: int, classes: int, seed: int) -> EncoderDecoder:
    """The segmentor on features of `width` channels; equal seeds give equal initial weights.

    Every class has its own sigmoid.
    """
    head = dict(
        type=LinearHead,
        in_channels=width,
        # One logit for one class, which mmsegmentation counts as two; otherwise one for each.
        num_classes=max(classes, 2),
        out_channels=classes,
        threshold=0.5,
        loss_decode=list(config.losses),
    )
    with quiet_libraries(), DefaultScope.overwrite_default_scope("mmseg"):
        model = EncoderDecoder(
            backbone=dict(type=FeatureBackbone), decode_head=head, test_cfg=ConfigDict(mode="whole")
        )
    reset_parameters(model.decode_head, seed, "decode_head")
    return model.to(device())


def fit_linear(
    model: EncoderDecoder,
    config: Config,
    views: Sequence[FrameFeatures],
    frames: np.ndarray,
    seed: int,
) -> None:
    """Train the head of a model on features.

    The order of the frames, and which of them are mirrored, depend on the seed alone.

    Args:
        model: from `build_linear`.
        config: from `compose_frozen`.
        views: features of the training split, and of its mirror images if ``config.mirrored``.
        frames: positions in them of those to train on.
        seed: seed of the order.

    Raises:
        InputError: the loss is not finite; or a batch has a single patch.
    """
    batch = min(config.batch_size, len(frames))
    if batch * views[0].features[0, ..., 0].size < 2:
        raise InputError(
            f"batch_size={config.batch_size}: a single patch in a batch, for which batch "
            "norm has no variance; use larger frames, or more of them"
        )
    head = model.decode_head.train()
    optimizer = build({**config.optimizer, "params": head.parameters(), "lr": config.base_lr})
    per_epoch = -(-len(frames) // batch)
    for step in range(config.steps):
        epoch, place = divmod(step, per_epoch)
        if place == 0:
            # A last incomplete batch is filled from the start of the order.
            order = np.resize(permutation(seed, epoch, len(frames)), per_epoch * batch)
            shown = uniform(seed, epoch, "mirrored", torch.arange(len(frames)), 1)[:, 0].numpy()
            which = (shown * len(views)).astype(int)
        chosen = order[place * batch : (place + 1) * batch]
        parts = [(views[which[one]], frames[one]) for one in chosen]
        maps = _maps([view.features[frame] for view, frame in parts])
        truth = torch.from_numpy(np.stack([view.truth[frame] for view, frame in parts]))
        for group in optimizer.param_groups:
            group["lr"] = config.base_lr * 0.5 * (1 + math.cos(math.pi * step / config.steps))
        loss = linear_loss(head, maps, truth.to(maps.device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if not torch.isfinite(loss):
        raise InputError(
            f"base_lr={config.base_lr:g}: the loss is not finite; choose a smaller one"
        )


def linear_loss(head: LinearHead, maps: Tensor, truth: Tensor) -> Tensor:
    """The sum of the losses at the size of the network, to which logits are up-sampled.

    Args:
        maps: B×D×h×w.
        truth: int32 B×S×S, bit c for class c.
    """
    logits = resize(
        head((maps,)), truth.shape[1:], mode="bilinear", align_corners=head.align_corners
    )
    return sum(loss(logits, truth) for loss in head.loss_decode)


@torch.no_grad()
def score_linear(
    model: EncoderDecoder,
    metric: SegmentationMetric,
    frames: FrameFeatures,
    folder: TaskFolder,
    batch_size: int,
) -> dict[str, float]:
    """The scores of the test split, with the code that scores a fine-tuned segmentor.

    Args:
        model: from `build_linear`.
        metric: metric of the test split.
        frames: frames of the test split.
    """
    model.eval()
    items = folder.splits["test"]
    size = frames.truth.shape[1:]
    for start in range(0, len(items), batch_size):
        some = range(start, min(start + batch_size, len(items)))
        samples = [_sample(folder.image("test", items[k]["stem"]), items[k], size) for k in some]
        found = model.predict(_maps([frames.features[k] for k in some]), samples)
        metric.process({}, [one.to_dict() for one in found])
    return metric.evaluate(len(items))


def patch_definition(config: Config) -> str:
    """Definition id of `score_patches`, with every setting it depends on."""
    size = image_size(config.test_pipeline)
    patches = f"{config.vessel_pixels}px-{size}x{size}-patch{config.patch}"
    return f"average-precision/vessel-patches/pooled/linear/{patches}/v1"


@torch.no_grad()
def score_patches(
    model: EncoderDecoder, frames: FrameFeatures, config: Config
) -> tuple[float, list[float]]:
    """The average precision (%) of vessel patches by the logits of the patches, before up-sampling.

    Patches and labels are those of `frame_patches`; with several classes the largest logit counts.

    Returns:
        Over all patches, and over those of each frame (NaN without vessel).
    """
    model.eval()
    found = []
    for _, features, labels in frame_patches(frames, config):
        logits = model.decode_head((features.to(device())[..., None, None],))
        found.append((labels, logits.amax(dim=1).flatten().cpu().numpy()))
    pooled = average_precision(*map(np.concatenate, zip(*found)))
    return 100 * pooled, [100 * average_precision(*pair) for pair in found]


def _sample(image: Path, item: dict[str, Any], size: tuple[int, int]) -> SegDataSample:
    """The metadata of a frame that prediction and scores need."""
    shape = (item["height"], item["width"])
    return SegDataSample(metainfo=dict(img_path=str(image), img_shape=size, ori_shape=shape))


def _maps(features: list[np.ndarray]) -> Tensor:
    """Features h×w×D of frames as B×D×h×w on the device, channels innermost."""
    return torch.from_numpy(np.stack(features)).to(device()).permute(0, 3, 1, 2)


def train_linear(cache: FeatureCache, config: Config, seed: int) -> EncoderDecoder:
    """The segmentor of a seed, trained on the labelled training frames.

    Raises:
        InputError: there is no loss; or as `FeatureCache.load` and `fit_linear`.
    """
    if not config.losses:
        raise InputError("losses: none; name at least one")
    shown = (False, True) if config.mirrored else (False,)
    views = [cache.load("train", mirrored) for mirrored in shown]
    frames = labelled_frames(config, cache.folder, seed)
    model = build_linear(config, views[0].features.shape[-1], len(cache.folder.classes) - 1, seed)
    fit_linear(model, config, views, frames, seed)
    return model

"""The frames of a split of a segmentation task as an encoder sees them, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from torch import Tensor

from benchmark.data.tasks import TaskFolder
from benchmark.device import device
from benchmark.downstream.backbone import check_channels, normalised_as
from benchmark.downstream.segmentation.dataset import LoadTruth, SegmentationDataset
from benchmark.downstream.segmentation.task import image_size
from benchmark.encoders.card import check_patches
from benchmark.encoders.encoder import load_encoder
from benchmark.registry import build


class EncodedFrames:
    """The frames of a split, and the feature maps an encoder makes of them.

    Frames are resized and normalised as in the test of fine-tuning; the mask is resized like the
    frame, by nearest neighbour. Features are those of the coarsest feature map: for a transformer,
    its patch tokens after the final norm (if it has one), without prefix tokens.

    Args:
        config: has `model` (backbone and data preprocessor), `test_pipeline` and `micro_batch`.
        folder: the prepared task.
        split: ``"train"``, ``"val"`` or ``"test"``.

    Attributes:
        card: card of the encoder.
        size: side of the frames in pixels.
        stride: pixels per pixel of the map.
        width: channels of the map.
        items: items of the split, in its order.
        parameters: parameter count of the encoder.

    Raises:
        InputError: the encoder is missing, damaged, or does not fit the image size; or the split is
            missing.
    """

    def __init__(self, config: Config, folder: TaskFolder, split: str) -> None:
        origin = config.model.backbone.folder
        self._encoder, self.card = load_encoder(origin)
        self.parameters = sum(one.numel() for one in self._encoder.parameters())
        check_channels(self.card, origin)
        self.size = image_size(config.test_pipeline)
        self.stride, self.width = self.card.strides[-1], self.card.widths[-1]
        check_patches(self.card, self.size)
        self._dataset = SegmentationDataset(folder, split, _with_truth(config.test_pipeline))
        self.items = self._dataset.items
        self._batch = config.micro_batch
        self._preprocessor = build(normalised_as(config.model.data_preprocessor, self.card))
        self._preprocessor.to(device())
        self._encoder.to(device()).eval()

    @property
    def side(self) -> int:
        """Side of the map, in its pixels."""
        return self.size // self.stride

    @torch.no_grad()
    def batches(self, mirrored: bool = False) -> Iterator[tuple[range, Tensor, np.ndarray]]:
        """Batch by batch: positions in `items`, maps, and the masks of the frames.

        Args:
            mirrored: flip frames and masks horizontally first.

        Yields:
            Positions; float32 B×width×side×side on the device; int32 B×size×size, bit c for class c
            (see `LoadTruth`).
        """
        for start in range(0, len(self.items), self._batch):
            indices = range(start, min(start + self._batch, len(self.items)))
            batch = self._preprocessor(pseudo_collate([self._dataset[index] for index in indices]))
            images = batch["inputs"]
            truth = np.stack(
                [sample.gt_sem_seg.data[0].cpu().numpy() for sample in batch["data_samples"]]
            )
            if mirrored:
                images, truth = images.flip(-1), truth[:, :, ::-1]
            yield indices, self._encoder.feature_maps(images)[-1].float(), truth


def _with_truth(pipeline: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The test pipeline, which loads no mask, with one that is resized like the frame."""
    steps = list(pipeline)
    place = next(k for k, step in enumerate(steps) if step["type"] is LoadImageFromFile)
    return [*steps[: place + 1], dict(type=LoadTruth), *steps[place + 1 :]]

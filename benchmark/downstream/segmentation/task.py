"""Segmentation, by mmsegmentation's models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS
from torch import nn

from benchmark.data.tasks import TaskFolder
from benchmark.data.tasks.folder import TaskItem
from benchmark.downstream.examples import read_example_image, resized, shown_size
from benchmark.downstream.segmentation.dataset import SegmentationDataset
from benchmark.downstream.segmentation.label_map import LabelMapCrossEntropy, LabelMapDice
from benchmark.downstream.segmentation.metrics import (
    SegmentationMetric,
    predicted_masks,
    predicted_probabilities,
)
from benchmark.downstream.segmentation.model import (
    EncoderBackbone,
    compute_losses_only,
    fit_to_encoder,
)
from benchmark.downstream.task import Prediction, Task, TaskClasses, reset_parameters
from benchmark.encoders.card import check_patches
from benchmark.errors import InputError
from benchmark.openmmlab.quiet import quiet_libraries
from benchmark.randomness import seed_torch
from benchmark.registry import build
from benchmark.results import Example


def build_model(config: Config, seed: int, classes: int = 1) -> nn.Module:
    """The model with keyed initial weights: equal seeds give every encoder the same head.

    Args:
        config: from `compose`.
        seed: key of the weights.
        classes: classes of the task, without the background.

    Raises:
        InputError: the encoder is missing, damaged, or does not fit the image size.
    """
    spec = dict(config.model)
    seed_torch(seed, "backbone")
    if "backbone" not in spec:
        if classes > 1:
            raise InputError(
                f"{spec['type'].__name__}: marks vessels and cannot tell {classes} classes apart; "
                "choose another method or dataset"
            )
        return build(spec)
    if config.label_map:
        # One label per pixel, the background among them.
        losses = [dict(type=LabelMapCrossEntropy), dict(type=LabelMapDice)]
        outputs = {"num_classes": classes + 1, "out_channels": classes + 1, "loss_decode": losses}
    else:
        # One logit for one class, which mmsegmentation counts as two; otherwise one for each.
        outputs = {"num_classes": max(classes, 2), "out_channels": classes}
    spec["decode_head"] = {**spec["decode_head"], **outputs}
    if spec["backbone"]["type"] is EncoderBackbone:
        # Loading here, before the library builds it again, gives one clear error and the sizes.
        card = build(spec["backbone"]).card
        check_patches(card, image_size(config.test_pipeline))
        spec = fit_to_encoder(spec, card)
    with quiet_libraries(), DefaultScope.overwrite_default_scope("mmseg"):
        model = MODELS.build({key: value for key, value in spec.items() if value is not None})
        seed_torch(seed, "backbone")
        model.init_weights()
    for name in ("neck", "decode_head"):
        part = getattr(model, name, None)
        if part is not None:
            reset_parameters(part, seed, name)
    compute_losses_only(model)
    # The convolutions of the heads run a third faster with the channels innermost.
    return model.to(memory_format=torch.channels_last)


def image_size(pipeline: list[dict[str, Any]]) -> int:
    return next(step["scale"][0] for step in pipeline if "scale" in step)


class SegmentationTask(Task):
    """Masks of vessels or of their segments."""

    scope = "mmseg"
    dataset = SegmentationDataset

    def build_model(self, config: Config, seed: int, folder: TaskFolder | TaskClasses) -> nn.Module:
        return build_model(config, seed, len(folder.classes) - 1)

    def build_metric(
        self, config: Config, folder: TaskFolder, predictions: Path, split: str = "test"
    ) -> SegmentationMetric:
        return SegmentationMetric(folder, predictions, config.score_at, split)

    def build_examples(
        self, folder: TaskFolder, items: Sequence[TaskItem], predictions: Path, split: str = "test"
    ) -> list[Example]:
        """Frame, labels of the truth and predicted labels, all at one size."""
        found = []
        for stem in (item["stem"] for item in items):
            frame = read_example_image(folder.image(split, stem))
            size = shown_size(*frame.shape)
            truth, prediction = (
                resized(read_example_image(file), size, labels=True)
                for file in (folder.mask(split, stem), predictions / f"{stem}.png")
            )
            found.append(Example(stem, resized(frame, size), truth, prediction))
        return found

    def read_prediction(self, sample: dict[str, Any], classes: Sequence[str]) -> Prediction:
        probabilities = predicted_probabilities(sample, len(classes))
        return Prediction(masks=predicted_masks(sample, len(classes)), probabilities=probabilities)


TASK = SegmentationTask()

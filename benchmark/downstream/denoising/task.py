"""Denoising: what fine-tuning needs to know about it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import nn

from benchmark.data.tasks import TaskFolder
from benchmark.data.tasks.folder import TaskItem
from benchmark.downstream.denoising.dataset import DenoisingDataset, read_pair
from benchmark.downstream.denoising.metrics import DenoisingMetric
from benchmark.downstream.examples import middle, read_example_image
from benchmark.downstream.segmentation.model import EncoderBackbone, check_patches, fit_to_encoder
from benchmark.downstream.segmentation.task import reset_parameters
from benchmark.downstream.task import Schedule, Task
from benchmark.errors import InputError
from benchmark.randomness import seed_torch
from benchmark.registry import build
from benchmark.results import Example


def build_model(config: Config, seed: int) -> nn.Module:
    """The model with keyed initial weights: equal seeds give every encoder the same head.

    Args:
        config: from `compose`.
        seed: key of the weights.

    Raises:
        InputError: the encoder is missing, damaged, or cannot cut a window into patches.
    """
    spec = dict(config.model.items())
    seed_torch(seed, "backbone")
    if "backbone" not in spec:
        return build(spec)
    if spec["backbone"]["type"] is EncoderBackbone:
        if not spec.get("window"):
            raise InputError("model.window: an encoder takes windows of one size; set it")
        # Loading here, before it is built again with the rest, gives the sizes.
        card = build(spec["backbone"]).card
        crops = [step["size"] for step in config.train_pipeline if "size" in step]
        for size in (spec["window"], *crops):
            check_patches(card, size)
        spec = fit_to_encoder(spec, card)
        seed_torch(seed, "backbone")
    model = build(spec)
    for name in ("neck", "decode_head"):
        part = getattr(model, name)
        if part is not None:
            reset_parameters(part, seed, name)
    return model.to(memory_format=torch.channels_last)


def _place_encoder(config: Config, encoder: Config) -> None:
    config.model.backbone = encoder


def _build_model(config: Config, seed: int, folder: TaskFolder) -> nn.Module:
    return build_model(config, seed)


def _build_dataset(config: Config, folder: TaskFolder, split: str, seed: int) -> DenoisingDataset:
    if split == "train":
        return DenoisingDataset(folder, split, config.train_pipeline, seed, config.label_fraction)
    return DenoisingDataset(folder, split, config.test_pipeline, seed)


def _build_metric(config: Config, folder: TaskFolder, predictions: Path) -> DenoisingMetric:
    return DenoisingMetric(folder, "test", predictions)


def _build_schedule(spec: dict[str, Any], epochs: int, steps_per_epoch: int) -> Schedule:
    return build(spec, epochs=epochs)


def _build_examples(
    folder: TaskFolder, items: Sequence[TaskItem], predictions: Path
) -> list[Example]:
    """Degraded, clean and denoised frame: their middle, as shrinking would remove noise, too."""
    found = []
    for stem in (item["stem"] for item in items):
        pair = read_pair(folder, "test", stem)
        denoised = read_example_image(predictions / f"{stem}.png")
        pictures = (middle(picture) for picture in (pair[..., 0], pair[..., 1], denoised))
        found.append(Example(stem, *pictures))
    return found


TASK = Task(
    scope="mmseg",
    place_encoder=_place_encoder,
    build_model=_build_model,
    build_dataset=_build_dataset,
    build_metric=_build_metric,
    build_schedule=_build_schedule,
    build_examples=_build_examples,
)

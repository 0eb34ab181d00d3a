"""Detection, by mmdetection's models."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config
from torch import nn

from benchmark.data.tasks import TaskFolder
from benchmark.downstream.detection.dataset import DetectionDataset
from benchmark.downstream.detection.metrics import DetectionMetric
from benchmark.downstream.detection.model import (
    SCOPE,
    build_detector,
    check_classes,
    exempt_from_decay,
)
from benchmark.downstream.detection.schedule import build_schedule
from benchmark.downstream.task import Task


def _place_encoder(config: Config, encoder: Config) -> None:
    """The backbone stays ViTDet's; it takes the weights of the encoder.

    If the encoder is no plain ViT, `build_detector` puts another backbone in its place: its kind is
    known only once it has been exported.
    """
    config.model.backbone.folder = encoder.folder


def _build_model(config: Config, seed: int, folder: TaskFolder) -> nn.Module:
    check_classes(config, folder)
    return build_detector(config, seed)


def _build_dataset(config: Config, folder: TaskFolder, split: str, seed: int) -> DetectionDataset:
    if split == "train":
        return DetectionDataset(folder, split, config.train_pipeline, seed, config.label_fraction)
    return DetectionDataset(folder, split, config.test_pipeline, seed)


def _build_metric(config: Config, folder: TaskFolder, predictions: Path) -> DetectionMetric:
    return DetectionMetric(folder.coco("test"), predictions)


TASK = Task(
    scope=SCOPE,
    place_encoder=_place_encoder,
    build_model=_build_model,
    build_dataset=_build_dataset,
    build_metric=_build_metric,
    build_schedule=build_schedule,
    adjust_optimizer=exempt_from_decay,
)

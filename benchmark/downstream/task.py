"""What one kind of downstream task brings to fine-tuning."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import pandas as pd
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import Dataset

from benchmark.data.tasks import TaskFolder
from benchmark.data.tasks.folder import TaskItem
from benchmark.errors import one_of
from benchmark.quiet import quiet_libraries
from benchmark.randomness import seed_torch
from benchmark.results import Example

_KINDS = ("segmentation", "detection", "denoising")


class TaskMetric(BaseMetric):
    """A metric of the test split that keeps the scores of every image.

    Attributes:
        predictions: folder that the predictions are written into.
        scores: after the evaluation, one row for each image; its column ``image`` names it.
    """

    # No prefix: the names of the record are those of `definitions`.
    default_prefix = ""

    def __init__(self, predictions: Path) -> None:
        super().__init__(collect_device="cpu")
        self.predictions = predictions
        self.scores = pd.DataFrame()

    @abstractmethod
    def definitions(self) -> dict[str, str]:
        """Metric → definition id, part of every result."""


class Task(ABC):
    """One kind of downstream task.

    Attributes:
        scope: mmengine scope of the library its models come from.
        dataset: its dataset, built from (folder, split, pipeline, seed, share of the labels).
    """

    scope: ClassVar[str]
    dataset: ClassVar[Callable[..., Dataset]]

    def place_encoder(self, config: Config, encoder: Config) -> None:
        """Put an encoder, the backbone of a method's `encoder.py`, into the model of a config."""
        config.model.backbone = encoder

    @abstractmethod
    def build_model(self, config: Config, seed: int, folder: TaskFolder) -> nn.Module:
        """The model with keyed initial weights: equal seeds give every encoder the same new layers.

        Args:
            config: from `compose`.
            seed: key of the weights.
            folder: the prepared task.

        Raises:
            InputError: the encoder is missing, damaged, or does not fit the image size; or the
                model does not fit the classes.
        """

    def build_dataset(self, config: Config, folder: TaskFolder, split: str, seed: int) -> Dataset:
        """The dataset of a split: for training a share of the labels, otherwise all of them."""
        if split == "train":
            pipeline, fraction = config.train_pipeline, config.label_fraction
        else:
            pipeline, fraction = config.test_pipeline, 1.0
        return self.dataset(folder, split, pipeline, seed, fraction)

    @abstractmethod
    def build_metric(self, config: Config, folder: TaskFolder, predictions: Path) -> TaskMetric:
        """The metric of the test split, which writes its predictions into a folder."""

    @abstractmethod
    def build_examples(
        self, folder: TaskFolder, items: Sequence[TaskItem], predictions: Path
    ) -> list[Example]:
        """The pictures of some predictions of the test split that are kept beside the record.

        Args:
            folder: the prepared task.
            items: of its test split.
            predictions: folder that holds them.
        """

    def adjust_optimizer(self, optimizer: Optimizer) -> None:  # noqa: B027
        """Change what the rule for parameter groups does not know."""


def reset_parameters(part: nn.Module, seed: int, name: str) -> None:
    """Initialise a part from a key of its own, whatever was built before it."""
    seed_torch(seed, name)
    for module in part.modules():
        if next(module.parameters(recurse=False), None) is not None:
            module.reset_parameters()


def load_task(kind: str) -> Task:
    """The task of a kind. Its library is imported now, which takes seconds.

    Raises:
        InputError: there is no such kind.
    """
    one_of("task", kind, _KINDS)
    with quiet_libraries():
        return importlib.import_module(f"benchmark.downstream.{kind}.task").TASK

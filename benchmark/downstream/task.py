"""What one kind of downstream task brings to fine-tuning."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import BaseMetric
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset

from benchmark.data.tasks import TaskFolder
from benchmark.data.tasks.folder import TaskItem
from benchmark.device import uses_gpu
from benchmark.errors import one_of
from benchmark.openmmlab.quiet import quiet_libraries
from benchmark.randomness import seed_torch
from benchmark.results import Example
from benchmark.training.distributed.signals import leave_process_group

_KINDS = ("segmentation", "detection", "denoising")


class TaskMetric(BaseMetric):
    """A metric of the test split that keeps the scores of every image.

    Attributes:
        predictions: folder that the predictions are written into.
        lower_is_better: metrics for which lower is better.
        scores: after the evaluation, one row for each image; its column ``image`` names it.
    """

    # No prefix: the names of the record are those of `definitions`.
    default_prefix = ""
    lower_is_better: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, predictions: Path) -> None:
        super().__init__(collect_device="cpu")
        self.predictions = predictions
        self.scores = pd.DataFrame()

    @abstractmethod
    def definitions(self) -> dict[str, str]:
        """Metric → definition id, part of every result."""


@dataclass(frozen=True)
class TaskClasses:
    """What building a network needs from a prepared task: its classes, and a path for errors."""

    path: Path
    classes: list[str]


@dataclass(frozen=True)
class Prediction:
    """What a model predicts for one frame, at its size H×W; fields of other tasks are None.

    Attributes:
        masks: segmentation, one mask per class without the background: bool C×H×W.
        probabilities: segmentation, in [0, 1]: float32 C×H×W; None also for a filter without any.
        boxes: detection, x0, y0, x1, y1 in pixels, best first: float64 N×4.
        scores: scores of the boxes, in [0, 1]: float64 N.
        labels: labels of the boxes, index of the class from 0: int64 N.
        denoised: denoising: uint8 H×W.
    """

    masks: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    boxes: np.ndarray | None = None
    scores: np.ndarray | None = None
    labels: np.ndarray | None = None
    denoised: np.ndarray | None = None


class Task(ABC):
    """One kind of downstream task.

    Attributes:
        scope: mmengine scope of the library its models come from.
        dataset: its dataset, built from (folder, split, pipeline, seed, share of the labels,
            their number or None).
    """

    scope: ClassVar[str]
    dataset: ClassVar[Callable[..., Dataset]]

    def place_encoder(self, config: Config, encoder: Config) -> None:
        """Put an encoder, the backbone of a method's `encoder.py`, into the model of a config."""
        config.model.backbone = encoder

    @abstractmethod
    def build_model(self, config: Config, seed: int, folder: TaskFolder | TaskClasses) -> nn.Module:
        """The model with keyed initial weights: equal seeds give every encoder the same new layers.

        Args:
            config: from `compose`.
            seed: key of the weights.
            folder: the prepared task, or its classes.

        Raises:
            InputError: the encoder is missing, damaged, or does not fit the image size; or the
                model does not fit the classes.
        """

    def build_dataset(self, config: Config, folder: TaskFolder, split: str, seed: int) -> Dataset:
        """The dataset of a split: for training with the labels of the config, otherwise with all.

        Raises:
            InputError: there are fewer labels.
        """
        if split != "train":
            return self.dataset(folder, split, config.test_pipeline, seed)
        labels = config.label_fraction, config.get("label_count")
        return self.dataset(folder, split, config.train_pipeline, seed, *labels)

    @abstractmethod
    def build_metric(
        self, config: Config, folder: TaskFolder, predictions: Path, split: str = "test"
    ) -> TaskMetric:
        """The metric of a split, which writes its predictions into a folder."""

    @abstractmethod
    def build_examples(
        self, folder: TaskFolder, items: Sequence[TaskItem], predictions: Path, split: str = "test"
    ) -> list[Example]:
        """The pictures of some predictions of a split that are kept beside the record.

        Args:
            folder: the prepared task.
            items: items of the split.
            predictions: folder that holds them.
        """

    def frame_inputs(self, frame: np.ndarray, colour: bool) -> dict[str, Any]:
        """What a test pipeline starts from once it has loaded a frame.

        Args:
            frame: uint8 H×W.
            colour: whether the pipeline loads three channels, here equal ones, or one.
        """
        image = np.repeat(frame[..., None], 3, axis=2) if colour else frame
        return {
            "img": image,
            "img_path": "",
            "img_shape": frame.shape,
            "ori_shape": frame.shape,
            "reduce_zero_label": False,
            "seg_fields": [],
        }

    @abstractmethod
    def read_prediction(self, sample: dict[str, Any], classes: Sequence[str]) -> Prediction:
        """The prediction in a model's output for a frame, a dictionary.

        Args:
            classes: names, without the background.
        """

    def adjust_optimizer(self, optimizer: Optimizer, model: nn.Module) -> None:  # noqa: B027
        """Change what the rule for parameter groups does not cover."""


def scoring_batch_size(config: Config) -> int:
    """Frames of the test split that pass through the network at once.

    Frames of native size cannot be stacked; a classical model takes them one by one.
    """
    return config.batch_size if config.epochs else 1


def scoring_loader(dataset: Dataset, config: Config, batch_size: int | None = None) -> DataLoader:
    """The frames of a split in their order, as they are scored.

    A GPU is fed by the loader processes of the config, as in training. A CPU is busy with the
    network anyway; there this process prepares the frames, and keeps them for further seeds. Scores
    are the same.

    Args:
        config: config of the fine-tuning.
        batch_size: frames at once; None: `scoring_batch_size`.
    """
    return DataLoader(
        dataset,
        batch_size or scoring_batch_size(config),
        collate_fn=pseudo_collate,
        num_workers=config.num_workers if uses_gpu() else 0,
        worker_init_fn=leave_process_group,
    )


def reset_parameters(part: nn.Module, seed: int, name: str) -> None:
    """Initialise a part from its own key, independent of what was built before it."""
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

"""What one kind of downstream task brings to fine-tuning."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from benchmark.results import Example

Schedule = Callable[[float], float]
"""Factor of the learning rate as a function of the fractional epoch."""

_KINDS = ("segmentation", "detection", "denoising")


class TaskMetric(BaseMetric):
    """A metric that keeps the scores of every image.

    Attributes:
        scores: after the evaluation, one row for each image; its column ``image`` names it.
    """

    scores: pd.DataFrame

    def definitions(self) -> dict[str, str]:
        """Metric → definition id, part of every result."""
        raise NotImplementedError(f"{type(self).__name__} does not define definitions()")


@dataclass(frozen=True)
class Task:
    """One kind of task.

    Attributes:
        scope: mmengine scope of the library its models come from.
        place_encoder: (config, encoder part of a method) puts the encoder into the model.
        build_model: (config, seed, folder) to a model with keyed initial weights: equal seeds give
            every encoder the same necks and heads.
        build_dataset: (config, folder, split, seed) to the data set of a split.
        build_metric: (config, folder, folder for predictions) to the metric of the test split.
        build_schedule: (config of the schedule, epochs, steps in an epoch) to the schedule.
        build_examples: (folder, items of its test split, folder for predictions), once that split
            has been predicted, to the pictures that are kept beside the record.
        adjust_optimizer: what the rule for parameter groups does not know.
    """

    scope: str
    place_encoder: Callable[[Config, Config], None]
    build_model: Callable[[Config, int, TaskFolder], nn.Module]
    build_dataset: Callable[[Config, TaskFolder, str, int], Dataset]
    build_metric: Callable[[Config, TaskFolder, Path], TaskMetric]
    build_schedule: Callable[[dict[str, Any], int, int], Schedule]
    build_examples: Callable[[TaskFolder, Sequence[TaskItem], Path], list[Example]]
    adjust_optimizer: Callable[[Optimizer], None] = lambda optimizer: None


def load_task(kind: str) -> Task:
    """The task of a kind. Its library is imported now, which takes seconds.

    Raises:
        InputError: there is no such kind.
    """
    one_of("task", kind, _KINDS)
    with quiet_libraries():
        return importlib.import_module(f"benchmark.downstream.{kind}.task").TASK

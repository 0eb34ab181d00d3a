"""The contract of a self-supervised method, and of everything else `tools/train.py` can train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from mmengine.model import BaseDataPreprocessor, BaseModel
from torch import Tensor, nn

from benchmark.registry import build


@dataclass(frozen=True)
class Progress:
    """The progress of training at one optimiser step."""

    seed: int = 0  # seed of the run; the key of all stateless randomness
    epoch: int = 0  # epoch the step belongs to, from 0
    epochs: int = 1  # length of the complete run
    step: int = 0  # optimiser steps done before this one, over the complete run
    steps_per_epoch: int = 1  # optimiser steps in one epoch

    @property
    def fraction(self) -> float:
        """Completed fraction of the run, in [0, 1)."""
        return self.step / (self.epochs * self.steps_per_epoch)


class Method(BaseModel):
    """One pre-training method.

    A subclass defines `encoder` (the exported part) and `loss`. The trainer sets `progress` before
    each step, turns the batch of frames into views on the device (`views`, the data preprocessor
    of mmengine) and calls `loss` through the distributed wrapper.

    Args:
        views: view maker or its config.

    Attributes:
        cross_sample: whether the loss compares the samples of a batch with each other. Such a loss
            is not the mean of the losses of parts of the batch: it needs `micro_batch=None`, and
            has to gather what it compares from all processes.
        encoder_name: name of the module that is trained to be the encoder.
        observed: what `observe` was given in this step.
    """

    encoder: nn.Module
    encoder_name: ClassVar[str] = "encoder"
    cross_sample: ClassVar[bool] = False

    def __init__(self, views: BaseDataPreprocessor | dict[str, Any]) -> None:
        super().__init__(data_preprocessor=build(views))
        self._progress = Progress()
        self.observed: list[Tensor] = []

    @property
    def views(self) -> BaseDataPreprocessor:
        return self.data_preprocessor

    @property
    def progress(self) -> Progress:
        return self._progress

    @progress.setter
    def progress(self, progress: Progress) -> None:
        self._progress = progress
        self.views.progress = progress
        self.observed.clear()

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        """Named scalars. Those whose name contains ``loss`` are summed and minimised."""
        raise NotImplementedError(f"{type(self).__name__} does not define loss()")

    def prepare(self, num_frames: int) -> None:
        """Allocate per-frame state; called once before training.

        Args:
            num_frames: frame indices in batches are below it; for a subset of packs, the number of
                frames of the complete packs.
        """

    def before_epoch(self, progress: Progress, frames: Any) -> None:
        """Run a pass over all frames, on every process.

        Args:
            progress: at the first step of the epoch.
            frames: the dataset, of known length; ``frames.__getitems__(indices)`` is a batch as
                `views` takes it.
        """

    def observe(self, features: Tensor) -> None:
        """Pass the features of this step, B×D, to the monitoring of representation collapse.

        To be called from `loss`; costs nothing until a line of the log is written.
        """
        self.observed.append(features.detach())

    def before_step(self, progress: Progress) -> None:
        """Modify the accumulated gradients before the optimiser step."""

    def after_step(self, progress: Progress) -> None:
        """Update what the optimiser does not: EMA teachers, centres, tables."""

    def exports(self) -> dict[str, nn.Module]:
        """What a finished run exports: file name (without extension) to module."""
        return {"encoder": self.encoder}

    def forward(self, views: dict[str, Tensor], mode: str = "loss") -> dict[str, Tensor]:
        if mode != "loss":
            raise ValueError(f"a pre-training method has no mode {mode!r}")
        return self.loss(views, self.progress)

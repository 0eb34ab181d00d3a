"""Items and batches of fine-tuning whose randomness is a function of (seed, epoch, index)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmark.data.packs.loader import EpochBatchSampler
from benchmark.data.tasks import TaskFolder
from benchmark.data.tasks.folder import labelled
from benchmark.randomness import permutation, stream_key


class TaskDataset:
    """One split of a prepared task, mixed into a dataset of OpenMMLab.

    Items are requested as (epoch, index). Before the transforms of an item run, the global
    generators they use are keyed by (seed, epoch, index): augmentations do not depend on workers,
    on the order of items, or on the encoder that is fine-tuned.

    An epoch of a number of images (`count`) is as long as one of the complete split: sample k is
    image k modulo `count`, with an augmentation of its own. Training on few labels thus takes as
    many steps as on all of them.

    Args:
        folder: the prepared task.
        split: ``"train"``, ``"val"`` or ``"test"``.
        pipeline: transforms of the library.
        seed: seed of the run.
        fraction, count: share or number of the images that are used, see `labelled`.
        settings: other arguments of the library's dataset.

    Attributes:
        items: the images that are used.
        samples: length of an epoch.
    """

    def __init__(
        self,
        folder: TaskFolder,
        split: str,
        pipeline: list[Any],
        seed: int = 0,
        fraction: float = 1.0,
        count: int | None = None,
        **settings: Any,
    ) -> None:
        self.folder = folder
        self.split = split
        self.seed = seed
        self.items = labelled(folder, split, fraction, count, seed)
        self.samples = len(self.items if count is None else folder.splits[split])
        # mmengine's serialisation ends with a full garbage collection, a good part of a second in a
        # process that has loaded its libraries; lists of this length need none.
        super().__init__(
            pipeline=pipeline, test_mode=split != "train", serialize_data=False, **settings
        )

    def __getitem__(self, item: int | tuple[int, int]) -> Any:
        epoch, index = item if isinstance(item, tuple) else (0, item)
        key = stream_key(self.seed, epoch, index, "augmentation")
        np.random.seed(key % 2**32)  # noqa: NPY002  mmcv's transforms use this generator
        random.seed(key)
        return super().__getitem__(index % len(self.items))  # type: ignore[misc]


class FineTuningSampler(EpochBatchSampler):
    """Batches of (epoch, index); a last incomplete batch is filled from the start of the order.

    Downstream datasets are small: dropping the rest would lose a good part of them.
    """

    def __init__(self, length: int, batch_size: int, seed: int) -> None:
        super().__init__(max(length, batch_size), batch_size, seed)
        self.samples = length

    def __len__(self) -> int:
        return -(-self.samples // self.batch_size)

    def order(self) -> np.ndarray:
        order = permutation(self.seed, self.epoch, self.samples)
        return np.resize(order, len(self) * self.batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:  # type: ignore[override]
        for batch in super().__iter__():
            yield [(self.epoch, index) for index in batch]

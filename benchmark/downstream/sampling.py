"""Items and batches of fine-tuning whose randomness is a function of (seed, epoch, index)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmark.data.packs.loader import EpochBatchSampler
from benchmark.data.splits import nested_subset
from benchmark.data.tasks import TaskFolder
from benchmark.data.tasks.folder import TaskItem
from benchmark.errors import InputError
from benchmark.randomness import permutation, stream_key


def labelled(folder: TaskFolder, split: str, fraction: float) -> list[TaskItem]:
    """The items of a split for a share of its labels, complete patients where they are known.

    The items of a smaller share are among those of a larger one.

    Raises:
        InputError: there is no such split, or the share is not above 0 and at most 1.
    """
    if split not in folder.splits:
        found = ", ".join(sorted(folder.splits))
        raise InputError(f"{folder.path}: has no split {split!r}, only {found}; make it with one")
    items = folder.splits[split]
    counts = Counter(item["group"] or item["stem"] for item in items)
    chosen = nested_subset(counts, fraction, seed=0)
    return [item for item in items if (item["group"] or item["stem"]) in chosen]


class TaskDataset:
    """One split of a prepared task, mixed into a dataset of OpenMMLab.

    Items are asked for as (epoch, index). Before the transforms of an item run, the global
    generators they use are keyed by (seed, epoch, index): augmentations do not depend on workers,
    on the order of items, or on the encoder that is fine-tuned.

    Args:
        folder: the prepared task.
        split: ``"train"``, ``"val"`` or ``"test"``.
        pipeline: transforms of the library.
        seed: seed of the run.
        fraction: share of the frames that is used, see `labelled`.
        settings: other arguments of the library's dataset.
    """

    def __init__(
        self,
        folder: TaskFolder,
        split: str,
        pipeline: list[Any],
        seed: int = 0,
        fraction: float = 1.0,
        **settings: Any,
    ) -> None:
        self.folder = folder
        self.split = split
        self.seed = seed
        self.items = labelled(folder, split, fraction)
        super().__init__(pipeline=pipeline, test_mode=split != "train", **settings)

    def __getitem__(self, item: int | tuple[int, int]) -> Any:
        epoch, index = item if isinstance(item, tuple) else (0, item)
        key = stream_key(self.seed, epoch, index, "augmentation")
        np.random.seed(key % 2**32)  # noqa: NPY002  mmcv's transforms use this generator
        random.seed(key)
        return super().__getitem__(index)  # type: ignore[misc]


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

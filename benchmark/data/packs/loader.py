"""From packs to batches: an order that depends only on (seed, epoch), and one gather per batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from benchmark.data.packs import PackCollection, PackSubset
from benchmark.device import uses_gpu
from benchmark.errors import InputError
from benchmark.randomness import permutation

# Larger batches come from recipes for GPUs.
_FOR_A_CPU = 64


class PackDataset(Dataset):
    """Frames of one or several packs, and with `anatomy` their vessel masks, read batch by batch.

    Attributes:
        device: device of the batches; None: host memory.
        in_memory: whether frames are held in memory, so that worker processes gain nothing.

    Raises:
        InputError: a pack has no vessel masks yet, and `anatomy` asks for them.
    """

    metainfo: dict[str, str] = {}
    device: torch.device | None = None
    in_memory: bool = False

    def __init__(self, packs: PackCollection | PackSubset, anatomy: bool) -> None:
        if anatomy and not packs.has_anatomy:
            raise InputError(
                f"{packs.without_anatomy}: this pack has no anatomy yet; run "
                f"tools/extract_anatomy.py {packs.without_anatomy}"
            )
        self.packs = packs
        self.anatomy = anatomy

    def __len__(self) -> int:
        return len(self.packs)

    def __getitems__(self, indices: list[int]) -> dict[str, Tensor]:
        frames, anatomy, valid = self.packs.gather(indices, anatomy=self.anatomy)
        batch = {
            "frame": torch.from_numpy(frames),
            "valid": torch.from_numpy(valid),
            "index": torch.from_numpy(self.packs.keys(indices)),
        }
        if self.anatomy:
            batch["anatomy"] = torch.from_numpy(anatomy)
        return batch


class EpochBatchSampler(Sampler[list[int]]):
    """Batches of one rank; all ranks together see each global batch once.

    Global batch t of an epoch is the t-th slice of the epoch's permutation, and rank r takes the
    r-th part of it: the samples of a step do not depend on the number of ranks or workers. The
    last, incomplete batch is dropped. `batch_size` is the global one.

    Raises:
        InputError: `batch_size` is not divisible by the number of ranks, or exceeds the number of
            frames.
    """

    def __init__(
        self, length: int, batch_size: int, seed: int, rank: int = 0, world_size: int = 1
    ) -> None:
        if batch_size % world_size:
            raise InputError(
                f"batch_size={batch_size} does not divide among {world_size} processes"
            )
        if batch_size > length:
            smaller = max(1, length // 2 // world_size) * world_size
            small = batch_size <= _FOR_A_CPU or uses_gpu()
            hint = "" if small else "use --scale tiny, made for machines without a GPU, or "
            raise InputError(
                f"batch_size={batch_size} is more than the {length} frames there are; {hint}"
                f"set a smaller one with --cfg-options batch_size={smaller}"
            )
        self.length = length
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.share = batch_size // world_size
        self.epoch = 0
        self.first_step = 0

    def set_epoch(self, epoch: int, first_step: int = 0) -> None:
        """Set the epoch and its first step; batches of earlier steps are not computed."""
        self.epoch = epoch
        self.first_step = first_step

    def __len__(self) -> int:
        return self.length // self.batch_size

    def order(self) -> np.ndarray:
        """Sample indices of the epoch, in order; global batches are consecutive slices of it."""
        return permutation(self.seed, self.epoch, self.length)

    def __iter__(self) -> Iterator[list[int]]:
        order = self.order()
        for step in range(self.first_step, len(self)):
            start = step * self.batch_size + self.rank * self.share
            yield order[start : start + self.share].tolist()


def _as_is(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Collate function: the dataset already returns batches."""
    return batch


def copied_ahead(
    batches: Iterator[dict[str, Tensor]], device: torch.device
) -> Iterator[dict[str, Tensor]]:
    """Copy pinned batches to a GPU on a side stream, each during the previous step."""
    copies, steps = torch.cuda.Stream(device), torch.cuda.current_stream(device)

    def copy_next() -> dict[str, Tensor] | None:
        batch = next(batches, None)
        if batch is None:
            return None
        with torch.cuda.stream(copies):
            return {name: value.to(device, non_blocking=True) for name, value in batch.items()}

    batch = copy_next()
    while batch is not None:
        steps.wait_stream(copies)
        for value in batch.values():
            # Keeps the memory until the step that reads it is over.
            value.record_stream(steps)
        following = copy_next()
        yield batch
        batch = following


class PackLoader(DataLoader):
    """Batches of frames on the device of the model; built by `pack_loader`.

    If the dataset has a method `move`, it is called once, between two epochs, after the first
    steps; a dataset that it returns replaces the original.
    """

    def __init__(self, dataset: PackDataset, device: torch.device, **settings: Any) -> None:
        on_host = dataset.device is None
        self._copied_to = device if on_host and device.type == "cuda" else None
        self._move = getattr(dataset, "move", None)
        self._moved: PackLoader | None = None
        self._batches = 0
        super().__init__(dataset, pin_memory=self._copied_to is not None, **settings)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        # A second batch is requested only after a step.
        if self._move is not None and self._batches > 1:
            found, self._move = self._move(), None
            if found is not None:
                self._iterator = None  # ends the worker processes
                self._moved = PackLoader(
                    found, found.device, batch_sampler=self.batch_sampler, collate_fn=_as_is
                )
        if self._moved is not None:
            return iter(self._moved)
        batches = super().__iter__()
        if self._copied_to is not None:
            batches = copied_ahead(batches, self._copied_to)
        return batches if self._move is None else self._counted(batches)

    def _counted(self, batches: Iterator[dict[str, Tensor]]) -> Iterator[dict[str, Tensor]]:
        for batch in batches:
            self._batches += 1
            yield batch


def pack_loader(
    dataset: PackDataset,
    batch_size: int,
    seed: int,
    rank: int = 0,
    world_size: int = 1,
    num_workers: int = 0,
    device: torch.device | str = "cpu",
) -> PackLoader:
    """Data loader over packs (see `EpochBatchSampler`) with batches on `device`.

    A dataset in memory needs no worker processes.
    """
    if dataset.in_memory:
        num_workers = 0
    return PackLoader(
        dataset,
        torch.device(device),
        batch_sampler=EpochBatchSampler(len(dataset), batch_size, seed, rank, world_size),
        collate_fn=_as_is,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
    )

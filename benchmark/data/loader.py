"""From packs to batches: an order that depends on (seed, epoch) only, and one gather per batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from benchmark.data.pack import PackCollection
from benchmark.errors import InputError
from benchmark.randomness import permutation


class PackDataset(Dataset):
    """Frames of one or several packs, fetched a batch at a time.

    Args:
        packs: where the frames are.
        anatomy: also fetch the vessel masks.

    Raises:
        InputError: anatomy is asked for and a pack has none.
    """

    metainfo: dict[str, str] = {}

    def __init__(self, packs: PackCollection, anatomy: bool) -> None:
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
            "index": torch.tensor(indices),
        }
        if self.anatomy:
            batch["anatomy"] = torch.from_numpy(anatomy)
        return batch


class EpochBatchSampler(Sampler[list[int]]):
    """Batches of one process; the processes together see each global batch once.

    Global batch t of an epoch is the t-th slice of the epoch's permutation, and process r takes the
    r-th part of it: the samples of a step do not depend on the number of processes or workers. The
    last, incomplete batch is dropped.

    Args:
        length: samples in the dataset.
        batch_size: samples per step over all processes.
        seed: seed of the run.
        rank, world_size: this process among all.

    Raises:
        InputError: the batch does not divide by the processes, or is larger than the dataset.
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
            raise InputError(
                f"batch_size={batch_size} is more than the {length} frames there are; set a "
                f"smaller one with --cfg-options batch_size={smaller}"
            )
        self.length = length
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.share = batch_size // world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length // self.batch_size

    def order(self) -> np.ndarray:
        """Indices of the epoch, in order; `len(self)` global batches are cut from its start."""
        return permutation(self.seed, self.epoch, self.length)

    def __iter__(self) -> Iterator[list[int]]:
        order = self.order()
        for step in range(len(self)):
            start = step * self.batch_size + self.rank * self.share
            yield order[start : start + self.share].tolist()


def _as_is(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The dataset already returns whole batches."""
    return batch


def pack_loader(
    dataset: PackDataset,
    batch_size: int,
    seed: int,
    rank: int = 0,
    world_size: int = 1,
    num_workers: int = 0,
) -> DataLoader:
    """Loader over packs; `batch_size` counts all processes."""
    return DataLoader(
        dataset,
        batch_sampler=EpochBatchSampler(len(dataset), batch_size, seed, rank, world_size),
        collate_fn=_as_is,
        num_workers=num_workers,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=num_workers > 0,
    )

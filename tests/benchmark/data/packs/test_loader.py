"""Batches: the same for any number of processes and workers, and equal to the packs' content."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from raw_layouts import PICTURES, build_small
from torch import Tensor

from benchmark.data.packs import PackCollection, open_packs
from benchmark.data.packs.loader import EpochBatchSampler, PackDataset, pack_loader
from benchmark.errors import InputError
from benchmark.randomness import permutation


@pytest.fixture
def dataset(packs: PackCollection) -> PackDataset:
    return PackDataset(packs, anatomy=True)


def epoch_batches(dataset: PackDataset, epoch: int, **arguments: int) -> list[dict[str, Tensor]]:
    loader = pack_loader(dataset, batch_size=6, seed=5, **arguments)
    loader.batch_sampler.set_epoch(epoch)
    return list(loader)


def assert_same(first: list[dict[str, Tensor]], second: list[dict[str, Tensor]]) -> None:
    assert len(first) == len(second)
    for ours, theirs in zip(first, second):
        assert list(ours) == list(theirs)
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_batches_hold_the_frames_of_the_permutation(
    packs: PackCollection, dataset: PackDataset
) -> None:
    """Batch t is the t-th slice of the epoch's permutation; the last incomplete one is dropped."""
    batches = epoch_batches(dataset, 2)
    order = permutation(5, 2, 23)
    assert len(batches) == 3
    joined = {key: torch.cat([batch[key] for batch in batches]) for key in batches[0]}
    assert joined["index"].tolist() == order[:18].tolist()
    for place, number in enumerate(order[:18]):
        pack, row = (packs.packs[0], number) if number < 18 else (packs.packs[1], number - 18)
        np.testing.assert_array_equal(joined["frame"][place].numpy(), pack.frames[row])
        np.testing.assert_array_equal(joined["anatomy"][place].numpy(), pack.anatomy[row])
        assert joined["valid"][place].tolist() == pack.valid[row].tolist()
        height, width = pack.valid[row]
        dark = np.unpackbits(joined["anatomy"][place].numpy(), axis=1).astype(bool)
        expected = pack.frames[row] < 120
        expected[height:], expected[:, width:] = False, False
        np.testing.assert_array_equal(dark, expected)
    kinds = {key: tensor.dtype for key, tensor in joined.items()}
    assert kinds["frame"] == kinds["anatomy"] == torch.uint8
    assert kinds["index"] == kinds["valid"] == torch.int64


def test_epochs_and_seeds_have_their_own_order() -> None:
    """Another epoch or seed is another order; the same one comes back."""
    sampler = EpochBatchSampler(100, 10, seed=1)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert first != second != list(EpochBatchSampler(100, 10, seed=2))
    for batches in (first, second):
        assert sorted(index for batch in batches for index in batch) == list(range(100))
    sampler.set_epoch(0)
    assert list(sampler) == first


@pytest.mark.parametrize("world_size", [1, 2, 3, 6])
def test_processes_share_each_global_batch(dataset: PackDataset, world_size: int) -> None:
    """The parts of all ranks, in order, are the batch of one process."""
    single = epoch_batches(dataset, 3)
    ranks = [
        epoch_batches(dataset, 3, rank=rank, world_size=world_size) for rank in range(world_size)
    ]
    joined = [
        {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
        for parts in zip(*ranks, strict=True)
    ]
    assert_same(joined, single)
    assert {len(batch["index"]) for rank in ranks for batch in rank} == {6 // world_size}


def test_workers_change_nothing(dataset: PackDataset) -> None:
    """Two persistent workers give the batches of none, also after a change of epoch."""
    loader = pack_loader(dataset, batch_size=6, seed=5, num_workers=2)
    for epoch in (0, 1):
        loader.batch_sampler.set_epoch(epoch)
        assert_same(list(loader), epoch_batches(dataset, epoch))


def test_without_anatomy(packs: PackCollection, dataset: PackDataset, tmp_path: Path) -> None:
    """Frames alone can be had from any pack; asking for what is not there names the remedy."""
    alone = epoch_batches(PackDataset(packs, anatomy=False), 0)
    for ours, theirs in zip(alone, epoch_batches(dataset, 0), strict=True):
        assert list(ours) == ["frame", "valid", "index"]
        assert torch.equal(ours["frame"], theirs["frame"])
    build_small(tmp_path / "bare", PICTURES[4:9])
    bare = open_packs([packs.packs[0].path, tmp_path / "bare"])
    assert len(PackDataset(bare, anatomy=False)) == 23
    with pytest.raises(
        InputError, match=r"bare: .* no anatomy yet; run .*extract_anatomy.py .*bare"
    ):
        PackDataset(bare, anatomy=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((23, 24, 0), "batch_size=24 is more than the 23 frames there are; .*batch_size=11$"),
        ((23, 6, 0, 0, 4), "batch_size=6 does not divide among 4 processes"),
    ],
)
def test_impossible_batches(arguments: tuple[int, ...], message: str) -> None:
    """A batch larger than the dataset, and one that the processes cannot share, are errors."""
    with pytest.raises(InputError, match=message):
        EpochBatchSampler(*arguments)


def test_proposed_batch_size_is_possible() -> None:
    """The batch that the error message proposes is one that works."""
    for length, world_size in ((23, 4), (5, 3), (9, 2)):
        with pytest.raises(InputError) as caught:
            EpochBatchSampler(length, 24 * world_size, 0, 0, world_size)
        proposed = int(str(caught.value).rpartition("=")[2])
        assert len(EpochBatchSampler(length, proposed, 0, 0, world_size)) >= 1


def test_dataset_as_large_as_the_batch() -> None:
    """One batch with everything in it is allowed."""
    (batch,) = EpochBatchSampler(7, 7, seed=0)
    assert sorted(batch) == list(range(7))

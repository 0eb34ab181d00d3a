"""Batches: the same for any number of processes and workers, and equal to the packs' content."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from raw_layouts import PICTURES, build_small
from torch import Tensor

from benchmark.data.packs import open_packs
from benchmark.data.packs.loader import EpochBatchSampler, PackDataset, pack_loader
from benchmark.errors import InputError
from benchmark.randomness import permutation


@pytest.fixture
def dataset(packs):
    return PackDataset(packs, anatomy=True)


def epoch_batches(dataset: PackDataset, epoch: int, **arguments: int) -> list[dict[str, Tensor]]:
    loader = pack_loader(dataset, batch_size=6, seed=5, **arguments)
    loader.batch_sampler.set_epoch(epoch)
    return list(loader)


def assert_same(first: list[dict[str, Tensor]], second: list[dict[str, Tensor]]) -> None:
    for ours, theirs in zip(first, second, strict=True):
        assert list(ours) == list(theirs)
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def joined(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}


def test_batches_follow_the_permutation(packs, dataset):
    """Batch t is the t-th slice of the epoch's permutation; an incomplete last one is dropped."""
    batches = epoch_batches(dataset, 2)
    order = permutation(5, 2, 23)
    assert len(batches) == 3
    found = joined(batches)
    assert found["index"].tolist() == order[:18].tolist()
    for place, number in enumerate(order[:18]):
        pack, row = (packs.packs[0], number) if number < 18 else (packs.packs[1], number - 18)
        np.testing.assert_array_equal(found["frame"][place].numpy(), pack.frames[row])
        np.testing.assert_array_equal(found["anatomy"][place].numpy(), pack.anatomy[row])
        assert found["valid"][place].tolist() == pack.valid[row].tolist()
    kinds = {key: tensor.dtype for key, tensor in found.items()}
    assert kinds["frame"] == kinds["anatomy"] == torch.uint8
    assert kinds["index"] == kinds["valid"] == torch.int64


def test_order_differs_by_epoch_and_seed():
    sampler = EpochBatchSampler(100, 10, seed=1)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert first != second != list(EpochBatchSampler(100, 10, seed=2))
    for batches in (first, second):
        assert sorted(index for batch in batches for index in batch) == list(range(100))
    sampler.set_epoch(0)
    assert list(sampler) == first
    (batch,) = EpochBatchSampler(7, 7, seed=0)  # as large as the dataset
    assert sorted(batch) == list(range(7))


@pytest.mark.parametrize("world_size", [2, 3, 6])
def test_processes_share_each_global_batch(dataset, world_size):
    """The parts of all ranks, in order, form the batch of a single process."""
    ranks = [
        epoch_batches(dataset, 3, rank=rank, world_size=world_size) for rank in range(world_size)
    ]
    assert_same([joined(parts) for parts in zip(*ranks, strict=True)], epoch_batches(dataset, 3))
    assert {len(batch["index"]) for rank in ranks for batch in rank} == {6 // world_size}


def test_workers_change_nothing(dataset):
    """Two persistent workers give the same batches as none, across epochs."""
    loader = pack_loader(dataset, batch_size=6, seed=5, num_workers=2)
    for epoch in (0, 1):
        loader.batch_sampler.set_epoch(epoch)
        assert_same(list(loader), epoch_batches(dataset, epoch))


def test_without_anatomy(packs, dataset, tmp_path):
    """Any pack gives frames; the error about missing anatomy names the command to run."""
    alone = epoch_batches(PackDataset(packs, anatomy=False), 0)
    for ours, theirs in zip(alone, epoch_batches(dataset, 0), strict=True):
        assert list(ours) == ["frame", "valid", "index"]
        assert torch.equal(ours["frame"], theirs["frame"])
    build_small(tmp_path / "bare", PICTURES[4:9])
    bare = open_packs([packs.packs[0].path, tmp_path / "bare"])
    assert len(PackDataset(bare, anatomy=False)) == 23
    message = r"bare: .* no anatomy yet; run .*extract_anatomy.py .*bare"
    with pytest.raises(InputError, match=message):
        PackDataset(bare, anatomy=True)


def test_impossible_batch_sizes():
    """The batch size that the message proposes works."""
    with pytest.raises(InputError, match="batch_size=6 does not divide among 4 processes"):
        EpochBatchSampler(23, 6, 0, 0, 4)
    for length, world_size in ((23, 1), (23, 4), (5, 3), (9, 2)):
        size = 24 * world_size
        message = f"batch_size={size} is more than the {length} frames there are; .*batch_size="
        with pytest.raises(InputError, match=message) as caught:
            EpochBatchSampler(length, size, 0, 0, world_size)
        proposed = int(str(caught.value).rpartition("=")[2])
        assert len(EpochBatchSampler(length, proposed, 0, 0, world_size)) >= 1


@pytest.mark.parametrize(
    ("size", "on_gpu", "pointed"), [(4096, False, True), (4096, True, False), (24, False, False)]
)
def test_a_batch_for_gpus_points_to_the_sizes_of_a_cpu(size, on_gpu, pointed, monkeypatch):
    monkeypatch.setattr("benchmark.data.packs.loader.uses_gpu", lambda: on_gpu)
    with pytest.raises(InputError, match=f"batch_size={size} is more") as caught:
        EpochBatchSampler(20, size, 0)
    assert ("use --scale tiny" in str(caught.value)) == pointed

"""Resident frames: bit-identical batches, wherever the frames are held."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from benchmark.data.packs import PackCollection, PackSubset, resident
from benchmark.data.packs.loader import PackDataset, PackLoader, pack_loader
from benchmark.data.packs.resident import (
    CachedDataset,
    MovingDataset,
    ResidentDataset,
    memory_needed,
    open_dataset,
)
from benchmark.errors import InputError


def loader_of(dataset: PackDataset, num_workers: int = 2, device: str = "cpu") -> PackLoader:
    """Loader of the second of two processes."""
    return pack_loader(dataset, 6, 5, rank=1, world_size=2, num_workers=num_workers, device=device)


def epochs_of(loader: PackLoader, count: int = 2) -> list[dict[str, Tensor]]:
    found = []
    for epoch in range(count):
        loader.batch_sampler.set_epoch(epoch)
        found += [{key: value.clone() for key, value in batch.items()} for batch in loader]
    return found


def assert_same(ours: list[dict[str, Tensor]], theirs: list[dict[str, Tensor]]) -> None:
    for one, two in zip(ours, theirs, strict=True):
        assert one.keys() == two.keys()
        for name in one:
            assert one[name].dtype == two[name].dtype
            assert torch.equal(one[name].cpu(), two[name]), name


@pytest.mark.parametrize("anatomy", [True, False])
def test_held_batches_equal_the_loaders(packs, anatomy, monkeypatch):
    """Also for a subset, and when frames are loaded two at a time."""
    for frames, staged in ((packs, resident._STAGED_BYTES), (PackSubset(packs, 20), 2 * 32 * 32)):
        monkeypatch.setattr(resident, "_STAGED_BYTES", staged)
        from_files = epochs_of(loader_of(PackDataset(frames, anatomy), num_workers=0))
        assert len(from_files) == 6
        for dataset in (ResidentDataset(frames, anatomy, "cpu"), CachedDataset(frames, anatomy)):
            loader = loader_of(dataset)
            assert loader.num_workers == 0, "they would gain nothing"
            assert_same(epochs_of(loader), from_files)


def test_frames_are_loaded_lazily(packs, monkeypatch):
    """Opening data for checks and plans must not read it; later batches read nothing."""
    dataset = ResidentDataset(packs, True, "cpu")
    assert not dataset._rows
    dataset.__getitems__([3])
    held = sum(rows.nbytes for rows in dataset._rows.values())
    assert held == memory_needed(packs, True) == 23 * (32 * 32 + 32 * 4 + 24)
    monkeypatch.setattr(PackCollection, "gather", None)
    assert dataset.__getitems__([7, 2])["index"].tolist() == [7, 2]


@pytest.mark.parametrize(
    ("setting", "device", "free", "kind"),
    [
        (False, "cuda", 10**9, PackDataset),
        (True, "cuda", 10**9, ResidentDataset),
        (True, "cuda", 66_000, CachedDataset),  # 27,048 bytes are needed: it would leave too little
        (True, "cuda", 68_000, ResidentDataset),
        (True, "cpu", 0, CachedDataset),
        ("auto", "cuda", 10**9, MovingDataset),
        ("auto", "cuda", 0, MovingDataset),
        ("auto", "cpu", 0, PackDataset),
    ],
)
def test_where_frames_are_held(packs, setting, device, free, kind, monkeypatch):
    """True: on the GPU if they take up to 40 % of its free memory, else in the page cache."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 2 * free))
    assert type(open_dataset(packs, True, setting, device)) is kind


def test_invalid_setting_is_refused(packs):
    with pytest.raises(InputError, match="resident='gpu': expected True, False or 'auto'"):
        open_dataset(packs, False, "gpu", "cpu")


@pytest.fixture
def moving(packs):
    """A ``resident="auto"`` loader with host memory as its GPU."""
    return loader_of(MovingDataset(packs, True, torch.device("cpu")))


@pytest.mark.parametrize(
    ("free", "total", "moved"),
    [
        (27_048 + 10_000, 100_000, True),  # the need plus a tenth of the total
        (27_047 + 10_000, 100_000, False),
    ],
)
def test_frames_move_after_the_first_epoch(moving, packs, free, total, moved, monkeypatch):
    """Free memory is queried once, between the first two epochs; batches stay the same."""
    asked: list[int] = []

    def mem_get_info(device):
        asked.append(moving._batches)
        return free, total

    monkeypatch.setattr(torch.cuda, "mem_get_info", mem_get_info)
    steps = len(moving)
    found = epochs_of(moving, 1)
    workers = moving._iterator._workers
    assert not asked
    assert len(workers) == 2
    found += epochs_of(moving, 3)[steps:]
    assert asked == [steps]
    assert (moving._moved is not None) is moved
    assert [worker.is_alive() for worker in workers] == [not moved] * 2
    assert_same(found, epochs_of(loader_of(PackDataset(packs, True), num_workers=0), 3))


def test_frames_do_not_move_before_a_step(moving, monkeypatch):
    """Reading the first batch does not show the memory of a step."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", None)
    next(iter(moving))
    next(iter(moving))
    assert moving._moved is None


def test_run_resumed_within_its_first_epoch_moves_in_the_next(moving, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10**9, 10**9))
    moving.batch_sampler.set_epoch(0, first_step=1)
    assert len(list(moving)) == 2
    moving.batch_sampler.set_epoch(1, first_step=0)
    (first, *_), order = moving, moving.batch_sampler.order()
    assert moving._moved is not None
    assert first["index"].tolist() == order[3:6].tolist()


def test_out_of_memory_while_moving_is_harmless(moving, monkeypatch):
    def full(dataset):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10**9, 10**9))
    monkeypatch.setattr(ResidentDataset, "load", full)
    assert len(epochs_of(moving)) == 2 * len(moving)
    assert moving._moved is None


@pytest.mark.gpu
@pytest.mark.parametrize("kind", [True, False])
def test_batches_on_the_gpu(packs, kind):
    """Gathered there, or copied ahead from pinned memory: bit-identical, without host sync."""
    dataset = ResidentDataset(packs, True, "cuda") if kind else PackDataset(packs, True)
    found = epochs_of(loader_of(dataset, device="cuda"))
    assert {value.device.type for batch in found for value in batch.values()} == {"cuda"}
    assert_same(found, epochs_of(loader_of(PackDataset(packs, True))))


@pytest.mark.gpu
def test_resident_batches_do_not_sync(packs):
    dataset = ResidentDataset(packs, True, "cuda")
    dataset.__getitems__([0, 1])
    torch.cuda.set_sync_debug_mode("error")
    try:
        dataset.__getitems__([4, 2, 22])
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
def test_frames_move_to_the_gpu_between_two_epochs(packs):
    loader = loader_of(MovingDataset(packs, True, torch.device("cuda")), device="cuda")
    found = epochs_of(loader)
    assert loader._moved is not None
    assert {value.device.type for batch in found for value in batch.values()} == {"cuda"}
    assert_same(found, epochs_of(loader_of(PackDataset(packs, True))))

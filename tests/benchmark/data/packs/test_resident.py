"""Resident frames: the batches of the loader, bit for bit, wherever the frames are held."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from raw_layouts import PICTURES, build_small
from torch import Tensor

from benchmark.data.packs import PackCollection, PackSubset, open_packs, resident
from benchmark.data.packs.loader import PackDataset, PackLoader, pack_loader
from benchmark.data.packs.resident import (
    CachedDataset,
    MovingDataset,
    ResidentDataset,
    memory_needed,
    open_dataset,
)
from benchmark.errors import InputError


def batches(dataset: torch.utils.data.Dataset, device: str = "cpu") -> list[dict[str, Tensor]]:
    """Two epochs, by the second of two processes."""
    loader = pack_loader(
        dataset, batch_size=6, seed=5, rank=1, world_size=2, num_workers=2, device=device
    )
    found = []
    for epoch in (0, 1):
        loader.batch_sampler.set_epoch(epoch)
        found += [{key: value.clone() for key, value in batch.items()} for batch in loader]
    return found


def assert_same(ours: list[dict[str, Tensor]], theirs: list[dict[str, Tensor]]) -> None:
    assert len(ours) == len(theirs) == 6
    for one, two in zip(ours, theirs):
        assert one.keys() == two.keys()
        for name in one:
            assert one[name].dtype == two[name].dtype
            assert torch.equal(one[name].cpu(), two[name]), name


@pytest.mark.parametrize("anatomy", [True, False])
@pytest.mark.parametrize("staged", [resident._STAGED_BYTES, 2 * 32 * 32])
def test_batches_are_those_of_the_loader(
    packs: PackCollection, anatomy: bool, staged: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a part of the frames, and where the frames are loaded two at a time."""
    monkeypatch.setattr(resident, "_STAGED_BYTES", staged)
    for frames in (packs, PackSubset(packs, 20)):
        from_files = batches(PackDataset(frames, anatomy))
        assert_same(batches(ResidentDataset(frames, anatomy, "cpu", progress=False)), from_files)
        assert_same(batches(CachedDataset(frames, anatomy, progress=False)), from_files)


def test_frames_are_loaded_when_they_are_needed(
    packs: PackCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checks and plans of a run open its data and must not read it; later batches read nothing."""
    dataset = ResidentDataset(packs, True, "cpu", progress=False)
    assert not dataset._rows
    dataset.__getitems__([3])
    held = sum(rows.nbytes for rows in dataset._rows.values())
    assert held == memory_needed(packs, True) == 23 * (32 * 32 + 32 * 4 + 16)
    monkeypatch.setattr(PackCollection, "gather", None)
    assert dataset.__getitems__([7, 2])["index"].tolist() == [7, 2]


def test_in_memory_needs_no_loader_processes(packs: PackCollection) -> None:
    kinds = (ResidentDataset(packs, True, "cpu"), CachedDataset(packs, True))
    loaders = [pack_loader(dataset, 6, 0, num_workers=3) for dataset in kinds]
    assert [loader.num_workers for loader in loaders] == [0, 0]
    assert pack_loader(PackDataset(packs, True), 6, 0, num_workers=3).num_workers == 3


@pytest.mark.parametrize(
    ("setting", "device", "free", "kind"),
    [
        (False, "cuda", 10**9, PackDataset),
        (True, "cuda", 10**9, ResidentDataset),
        (True, "cuda", 66_000, CachedDataset),  # 26,864 bytes are needed: it would leave too little
        (True, "cuda", 68_000, ResidentDataset),
        (True, "cpu", 0, CachedDataset),
        ("auto", "cuda", 10**9, MovingDataset),
        ("auto", "cuda", 0, MovingDataset),
        ("auto", "cpu", 0, PackDataset),
    ],
)
def test_where_frames_are_held(
    packs: PackCollection,
    setting: bool | str,
    device: str,
    free: int,
    kind: type,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """True: on the GPU where they take up to 40 % of what is free, or in the page cache."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 2 * free))
    assert type(open_dataset(packs, True, setting, device)) is kind


@pytest.fixture
def moving(packs: PackCollection) -> PackLoader:
    """A loader of ``resident="auto"``, whose GPU is the memory of the host."""
    dataset = MovingDataset(packs, True, torch.device("cpu"), progress=False)
    return pack_loader(dataset, 6, seed=5, rank=1, world_size=2, num_workers=2)


def epochs_of(loader: PackLoader, count: int) -> list[dict[str, Tensor]]:
    found = []
    for epoch in range(count):
        loader.batch_sampler.set_epoch(epoch)
        found += [{key: value.clone() for key, value in batch.items()} for batch in loader]
    return found


@pytest.mark.parametrize(
    ("free", "total", "moved"),
    [
        (26_864 + 10_000, 100_000, True),  # what is needed, and a tenth of all there is
        (26_863 + 10_000, 100_000, False),
        (80_000, 800_000, False),
    ],
)
def test_frames_move_once_steps_have_shown_what_they_need(
    moving: PackLoader,
    packs: PackCollection,
    free: int,
    total: int,
    moved: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Asked for the free memory once, between the first epoch and the second; the same batches."""
    asked: list[int] = []

    def mem_get_info(device: torch.device) -> tuple[int, int]:
        asked.append(moving._batches)
        return free, total

    monkeypatch.setattr(torch.cuda, "mem_get_info", mem_get_info)
    reference = pack_loader(PackDataset(packs, True), 6, seed=5, rank=1, world_size=2)
    expected = epochs_of(reference, 3)
    steps = len(moving)
    found = epochs_of(moving, 1)
    workers = moving._iterator._workers
    assert not asked
    assert len(workers) == 2
    found += epochs_of(moving, 3)[steps:]
    assert asked == [steps]
    assert (moving._moved is not None) is moved
    assert [worker.is_alive() for worker in workers] == [not moved] * 2
    for one, two in zip(found, expected, strict=True):
        assert one.keys() == two.keys()
        assert all(torch.equal(one[name], two[name]) for name in one)


def test_frames_do_not_move_before_a_step(
    moving: PackLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look at the first batch says nothing about the step."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", None)
    next(iter(moving))
    next(iter(moving))
    assert moving._moved is None


def test_a_run_that_goes_on_within_its_first_epoch_moves_in_the_next(
    moving: PackLoader, packs: PackCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10**9, 10**9))
    moving.batch_sampler.set_epoch(0, first_step=1)
    assert len(list(moving)) == 2
    moving.batch_sampler.set_epoch(1, first_step=0)
    (first, *_), order = moving, moving.batch_sampler.order()
    assert moving._moved is not None
    assert first["index"].tolist() == order[3:6].tolist()


def test_memory_that_somebody_else_takes_meanwhile_costs_nothing(
    moving: PackLoader, packs: PackCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(dataset: ResidentDataset) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10**9, 10**9))
    monkeypatch.setattr(ResidentDataset, "load", full)
    assert len(epochs_of(moving, 2)) == 2 * len(moving)
    assert moving._moved is None


def test_bad_input_is_named(packs: PackCollection, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="resident='gpu': expected True, False or 'auto'"):
        open_dataset(packs, False, "gpu", "cpu")
    build_small(tmp_path / "bare", PICTURES[4:9])
    with pytest.raises(InputError, match=r"no anatomy yet; run tools/extract_anatomy.py"):
        ResidentDataset(open_packs([tmp_path / "bare"]), True, "cpu")


@pytest.mark.gpu
@pytest.mark.parametrize("kind", [True, False])
def test_batches_on_the_gpu(packs: PackCollection, kind: bool) -> None:
    """Gathered there, or copied ahead from pinned memory: the same bits, and no wait."""
    expected = batches(PackDataset(packs, True))
    dataset = ResidentDataset(packs, True, "cuda") if kind else PackDataset(packs, True)
    found = batches(dataset, "cuda")
    assert {value.device.type for batch in found for value in batch.values()} == {"cuda"}
    assert_same(found, expected)


@pytest.mark.gpu
def test_resident_batches_do_not_wait(packs: PackCollection) -> None:
    dataset = ResidentDataset(packs, True, "cuda")
    dataset.__getitems__([0, 1])
    torch.cuda.set_sync_debug_mode("error")
    try:
        dataset.__getitems__([4, 2, 22])
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
def test_frames_move_to_the_gpu_between_two_epochs(packs: PackCollection) -> None:
    loader = pack_loader(
        MovingDataset(packs, True, torch.device("cuda"), progress=False),
        6,
        seed=5,
        rank=1,
        world_size=2,
        num_workers=2,
        device="cuda",
    )
    found = epochs_of(loader, 2)
    assert loader._moved is not None
    assert {value.device.type for batch in found for value in batch.values()} == {"cuda"}
    assert_same(found, batches(PackDataset(packs, True)))

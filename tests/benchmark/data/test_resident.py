"""Resident frames: the batches of the loader, bit for bit, wherever the frames are held."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from raw_layouts import PICTURES, build_small
from torch import Tensor

from benchmark.data import resident
from benchmark.data.loader import PackDataset, pack_loader
from benchmark.data.pack import PackCollection, PackSubset, open_packs
from benchmark.data.resident import CachedDataset, ResidentDataset, memory_needed, open_dataset
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
        ("auto", "cuda", 10**9, ResidentDataset),
        ("auto", "cuda", 20_000, PackDataset),  # 26,864 bytes are needed
        ("auto", "cuda", 66_000, PackDataset),  # would fit, but leave too little
        ("auto", "cuda", 68_000, ResidentDataset),
        (True, "cuda", 66_000, CachedDataset),
        (True, "cpu", 0, CachedDataset),
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
    """On the GPU where they take up to 40 % of what is free, in the page cache, or in the files."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 2 * free))
    assert type(open_dataset(packs, True, setting, device)) is kind


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

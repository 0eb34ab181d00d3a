"""Vessel masks of packs: one bit per pixel, added in a way that interruptions cannot spoil."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from raw_layouts import (
    PICTURES,
    SIZE,
    Interruption,
    MemorySource,
    build_small,
    folder_bytes,
    picture,
)

from benchmark.data.packs import FramePack, add_anatomy, anatomy, open_packs, pack_bits, unpack_bits
from benchmark.data.tasks import write_task_folder
from benchmark.errors import InputError


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(anatomy, "CHUNK", 4)


def test_bits_survive_the_round_trip_in_numpy_and_torch():
    mask = np.random.default_rng(0).random((3, 16, 24)) < 0.3
    bits = pack_bits(mask)
    assert (bits.shape, bits.dtype) == ((3, 16, 3), np.uint8)
    assert bits[0, 0, 0] >> 7 == mask[0, 0, 0], "the first pixel is the highest bit"
    np.testing.assert_array_equal(unpack_bits(bits), mask)
    unpacked = unpack_bits(torch.from_numpy(bits))
    assert unpacked.dtype == torch.bool
    np.testing.assert_array_equal(unpacked.numpy(), mask)
    with pytest.raises(ValueError, match="divisible by 8"):
        pack_bits(mask[..., :20])


def _dark(frames, valid):
    return frames < 120


class _Stopping:
    """Like `_dark`, but raises at the given call."""

    def __init__(self, call=None):
        self.calls, self.call = 0, call

    def __call__(self, frames, valid):
        self.calls += 1
        if self.calls == self.call:
            raise Interruption
        return _dark(frames, valid)


def test_a_kill_after_the_last_file_leaves_nothing_for_good(tmp_path):
    """Masks, pack or task are finished; locks and the record of progress are still there."""
    pack = add_anatomy(build_small(tmp_path / "pack").path, _dark, {}, progress=False)

    def write_task() -> None:
        source = MemorySource([picture(seed, 24, 32) for seed in range(6)])
        write_task_folder(source, tmp_path / "task", "segmentation", progress=False)

    write_task()
    before = folder_bytes(tmp_path)
    locks = (".pack.lock", ".task.lock", "pack/anatomy.u1.lock")
    for name in (*locks, "pack/anatomy.u1.progress.json"):
        (tmp_path / name).touch()
    build_small(tmp_path / "pack")
    add_anatomy(pack.path, _dark, {}, progress=False)
    write_task()
    assert folder_bytes(tmp_path) == before


def test_anatomy_is_added_resumed_and_replaced_only_on_demand(tmp_path):
    build_small(tmp_path / "whole")
    pack = build_small(tmp_path / "pack")
    whole = add_anatomy(tmp_path / "whole", _dark, {"below": 120}, batch=4, progress=False)
    expected = pack.frames < 120
    for row, (height, width) in enumerate(pack.valid):
        expected[row, height:] = False
        expected[row, :, width:] = False
    np.testing.assert_array_equal(whole.read_anatomy(range(18)), expected)
    assert whole.anatomy.shape == (18, SIZE, SIZE // 8)

    for call in (1, 3):
        with pytest.raises(Interruption):
            add_anatomy(pack.path, _Stopping(call), {"below": 120}, batch=4, progress=False)
        assert not FramePack.open(pack.path).has_anatomy
    with pytest.raises(InputError, match="other parameters"):
        add_anatomy(pack.path, _dark, {"below": 90}, progress=False)
    rest = _Stopping()
    add_anatomy(pack.path, rest, {"below": 120}, batch=4, progress=False)
    assert rest.calls == 3, "8 of 18 were done: 4 + 4 + 2 remain"
    assert folder_bytes(pack.path) == folder_bytes(whole.path)

    again = _Stopping(1)
    add_anatomy(pack.path, again, {"below": 120}, progress=False)
    assert again.calls == 0
    with pytest.raises(InputError, match="other parameters"):
        add_anatomy(pack.path, lambda f, v: f < 90, {"below": 90}, progress=False)
    new = add_anatomy(pack.path, lambda f, v: f < 90, {"below": 90}, progress=False, overwrite=True)
    assert new.manifest["anatomy"]["parameters"] == {"below": 90}
    assert 0 < new.read_anatomy([0]).sum() < whole.read_anatomy([0]).sum()
    assert new.corpus_hash == whole.corpus_hash


@pytest.mark.parametrize("calls_before", [0, 1])
def test_anatomy_survives_an_interruption_while_publishing(tmp_path, monkeypatch, calls_before):
    build_small(tmp_path / "whole")
    add_anatomy(tmp_path / "whole", _dark, {"below": 120}, batch=4, progress=False)
    pack = build_small(tmp_path / "pack")
    add_anatomy(pack.path, lambda f, v: f < 90, {"below": 90}, batch=4, progress=False)
    real, remaining = anatomy.os.replace, [calls_before]

    def stop(first, second):
        if str(second).endswith("anatomy.u1"):
            if remaining[0]:
                real(first, second)
            raise Interruption
        return real(first, second)

    options = {"parameters": {"below": 120}, "batch": 4, "progress": False, "overwrite": True}
    with monkeypatch.context() as patch:
        patch.setattr(anatomy.os, "replace", stop)
        with pytest.raises(Interruption):
            add_anatomy(pack.path, _dark, **options)
    assert not FramePack.open(pack.path).has_anatomy
    rest = _Stopping()
    add_anatomy(pack.path, rest, **options)
    assert rest.calls == 0
    assert folder_bytes(pack.path) == folder_bytes(tmp_path / "whole")


def test_a_collection_has_anatomy_when_every_pack_has(tmp_path):
    first, second = build_small(tmp_path / "a"), build_small(tmp_path / "b", PICTURES[4:9])
    add_anatomy(first.path, _dark, {}, progress=False)
    both = open_packs([first.path, second.path])
    assert both.gather([0, 20])[1] is None
    assert both.without_anatomy == second.path
    with pytest.raises(InputError, match="b: no vessel masks"):
        both.read_anatomy([0])
    add_anatomy(second.path, _dark, {}, progress=False)
    both = open_packs([first.path, second.path])
    frames, bits, valid = both.gather([20, 0])
    inside = np.arange(SIZE) < valid[:, 1, None, None]
    np.testing.assert_array_equal(unpack_bits(bits), (frames < 120) & inside)
    assert both.gather([0], anatomy=False)[1] is None


def test_a_wrong_mask_is_an_error_and_adds_nothing(tmp_path):
    pack = build_small(tmp_path / "pack")
    with pytest.raises(ValueError, match="not bool"):
        add_anatomy(pack.path, lambda f, v: f, {}, progress=False)
    with pytest.raises(ValueError, match="for frames"):
        add_anatomy(pack.path, lambda f, v: f[:, :8] < 9, {}, progress=False)
    assert not FramePack.open(pack.path).has_anatomy

"""Vessel masks of packs: bit-packed, and added in a way that survives interruptions."""

from __future__ import annotations

import numpy as np
import pytest
from raw_layouts import (
    PICTURES,
    SIZE,
    Interruption,
    MemorySource,
    build_small,
    folder_bytes,
    picture,
)

from benchmark.data.packs import FramePack, add_anatomy, anatomy, open_packs
from benchmark.data.packs.reading import unpack_bits
from benchmark.data.tasks import write_task_folder
from benchmark.errors import InputError

BELOW_120, BELOW_90 = {"below": 120}, {"below": 90}


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(anatomy, "CHUNK", 4)


def add(folder, compute, parameters=BELOW_120, batch=4, **options):
    return add_anatomy(folder, compute, parameters, batch, progress=False, **options)


class _Dark:
    """Mask of values below 120; may raise at a given call."""

    def __init__(self, stop_at=None):
        self.calls, self.stop_at = 0, stop_at

    def __call__(self, frames, valid):
        self.calls += 1
        if self.calls == self.stop_at:
            raise Interruption
        return frames < 120


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """A pack whose masks were added without interruption."""
    pack = build_small(tmp_path_factory.mktemp("complete") / "pack")
    return add_anatomy(pack.path, _Dark(), BELOW_120, progress=False)


def test_leftovers_of_a_late_kill_are_removed(tmp_path):
    """Masks, pack or task are complete; locks and the progress record remain."""
    pack = add(build_small(tmp_path / "pack").path, _Dark())

    def write_task():
        source = MemorySource([picture(seed, 24, 32) for seed in range(6)])
        write_task_folder(source, tmp_path / "task", "segmentation", progress=False)

    write_task()
    before = folder_bytes(tmp_path)
    locks = (".pack.lock", ".task.lock", "pack/anatomy.u1.lock")
    for name in (*locks, "pack/anatomy.u1.progress.json"):
        (tmp_path / name).touch()
    build_small(tmp_path / "pack")
    add(pack.path, _Dark())
    write_task()
    assert folder_bytes(tmp_path) == before


def test_add_resume_and_overwrite(complete, tmp_path):
    expected = complete.frames < 120
    for row, (height, width) in enumerate(complete.valid):
        expected[row, height:] = False
        expected[row, :, width:] = False
    np.testing.assert_array_equal(unpack_bits(complete.anatomy), expected)
    assert complete.anatomy.shape == (18, SIZE, SIZE // 8)

    pack = build_small(tmp_path / "pack")
    for call in (1, 3):
        with pytest.raises(Interruption):
            add(pack.path, _Dark(call))
        assert not FramePack.open(pack.path).has_anatomy
    with pytest.raises(InputError, match="other parameters"):
        add(pack.path, _Dark(), BELOW_90)
    rest = _Dark()
    add(pack.path, rest)
    assert rest.calls == 3, "8 of 18 were done: 4 + 4 + 2 remain"
    assert folder_bytes(pack.path) == folder_bytes(complete.path)

    add(pack.path, _Dark(1))  # is not called
    with pytest.raises(InputError, match="other parameters"):
        add(pack.path, lambda f, v: f < 90, BELOW_90)
    new = add(pack.path, lambda f, v: f < 90, BELOW_90, overwrite=True)
    assert new.manifest["anatomy"]["parameters"] == BELOW_90
    assert 0 < unpack_bits(new.anatomy[0]).sum() < unpack_bits(complete.anatomy[0]).sum()
    assert new.corpus_hash == complete.corpus_hash


@pytest.mark.parametrize("calls_before", [0, 1])
def test_interrupted_publishing(complete, tmp_path, monkeypatch, calls_before):
    pack = build_small(tmp_path / "pack")
    add(pack.path, lambda f, v: f < 90, BELOW_90)
    real, remaining = anatomy.os.replace, [calls_before]

    def stop(first, second):
        if str(second).endswith("anatomy.u1"):
            if remaining[0]:
                real(first, second)
            raise Interruption
        return real(first, second)

    with monkeypatch.context() as patch:
        patch.setattr(anatomy.os, "replace", stop)
        with pytest.raises(Interruption):
            add(pack.path, _Dark(), overwrite=True)
    assert not FramePack.open(pack.path).has_anatomy
    add(pack.path, _Dark(1), overwrite=True)  # nothing is left to compute
    assert folder_bytes(pack.path) == folder_bytes(complete.path)


def test_collection_has_anatomy_if_every_pack_has(complete, tmp_path):
    second = build_small(tmp_path / "b", PICTURES[4:9])
    both = open_packs([complete.path, second.path])
    assert both.gather([0, 20])[1] is None
    assert both.without_anatomy == second.path
    add(second.path, _Dark())
    both = open_packs([complete.path, second.path])
    frames, bits, valid = both.gather([20, 0])
    inside = np.arange(SIZE) < valid[:, 1, None, None]
    np.testing.assert_array_equal(unpack_bits(bits), (frames < 120) & inside)
    assert both.gather([0], anatomy=False)[1] is None


@pytest.mark.parametrize("compute", [lambda f, v: f, lambda f, v: f[:, :8] < 9])
def test_wrong_masks_are_refused(tmp_path, compute):
    pack = build_small(tmp_path / "pack")
    with pytest.raises(ValueError, match="not bool"):
        add(pack.path, compute)
    assert not FramePack.open(pack.path).has_anatomy

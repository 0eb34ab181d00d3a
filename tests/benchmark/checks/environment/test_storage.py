"""Read, decoding and gather rates, and the complete report."""

from __future__ import annotations

import os
from collections import namedtuple
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest

from benchmark.checks.environment import examine, software, storage
from benchmark.data.packs import build_pack, open_packs
from benchmark.data.sources import open_source
from benchmark.errors import InputError
from benchmark.files.temporary import TEMPORARY


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "pack"
    source = open_source("synthetic", patients=1, videos=1, frames=4, first_frame=3, size=64)
    build_pack(source, out, size=64, progress=False)
    return out


class Clock:
    """A clock that advances by one second per reading."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        self.now += 1
        return self.now


def test_rate_is_calls_over_seconds(monkeypatch):
    """The clock is read once before and once per call: 3 calls before the fourth second."""
    monkeypatch.setattr(storage, "time", Clock())
    calls = []
    assert storage._rate(lambda: calls.append(1), 4) == pytest.approx(3 / 4)
    assert len(calls) == 3


def test_slow_work_is_called_at_least_once(monkeypatch):
    monkeypatch.setattr(storage, "time", Clock())
    assert storage._rate(lambda: None, 0) == pytest.approx(1 / 2)


def test_read_rate_bypasses_the_page_cache(monkeypatch, tmp_path):
    """All bytes written are read, after eviction from the page cache, and no file remains."""
    dropped = []
    monkeypatch.setattr(os, "posix_fadvise", lambda *which: dropped.append(which[1:]))
    monkeypatch.setattr(storage, "time", Clock())
    size = 3 * storage._BLOCK
    # One second passes between the clock readings before and after reading.
    assert storage.read_rate(tmp_path, size, seconds=100) == size
    assert dropped == [(0, 0, os.POSIX_FADV_DONTNEED)]
    assert not list(tmp_path.iterdir())


def test_decoding_reads_an_image_like_an_angiogram(monkeypatch, tmp_path):
    seen, names = [], []
    true = storage.read_grayscale

    def read(path: Path) -> None:
        names.append(path.name)
        seen.append(true(path))

    monkeypatch.setattr(storage, "read_grayscale", read)
    assert storage.decode_rate(tmp_path, 0.0) > 0
    assert all(fnmatch(name, TEMPORARY) for name in names), "what a kill leaves is known as ours"
    np.testing.assert_array_equal(seen[0], storage.example_frame())
    assert seen[0].shape == (512, 512)
    assert not list(tmp_path.iterdir())


def test_gathering_draws_from_all_frames(monkeypatch, pack):
    packs = open_packs([pack])
    drawn = []
    monkeypatch.setattr(packs, "gather", drawn.append)
    monkeypatch.setattr(storage, "time", Clock())
    rate = storage.gather_rate(packs, seconds=4, batch=64)
    assert rate == pytest.approx(64 * 3 / 4)
    assert set(np.concatenate(drawn)) == set(range(len(packs)))


def test_slow_decoding_says_what_it_costs(monkeypatch, tmp_path):
    """10 per second on each of 2 cores: 171,478 frames take 142.9 minutes."""
    monkeypatch.setattr(storage, "decode_rate", lambda folder: 10.0)
    found = storage.examine_decoding(tmp_path, 2)
    assert found.state == "slow"
    assert "143 min on 2 cores" in found.advice
    monkeypatch.setattr(storage, "decode_rate", lambda folder: 100.0)
    assert storage.examine_decoding(tmp_path, 2).state == "ok"


def test_each_disk_is_measured_once(monkeypatch, tmp_path):
    """100 MB/s are 400 frames of 250 kB."""
    monkeypatch.setattr(storage, "read_rate", lambda folder: 100e6)
    (tmp_path / "a").mkdir()
    (found,) = storage.examine_disks([tmp_path, tmp_path / "a"], 1000, 250_000)
    assert found.state == "slow"
    assert found.advice.startswith("400 frames per second, 1000 are needed")
    (found,) = storage.examine_disks([tmp_path], 400, 250_000)
    assert found.state == "ok"


def test_read_only_disk_is_not_measured(monkeypatch, tmp_path):
    monkeypatch.setattr(storage.os, "access", lambda path, mode: False)
    (found,) = storage.examine_disks([tmp_path], 1000, 1)
    assert found.state == "note"


@pytest.mark.parametrize(
    ("free", "state"), [(20 << 30, "ok"), (5 << 30, "note"), (5 << 20, "missing")]
)
def test_free_space_is_that_of_the_work_folder(monkeypatch, tmp_path, free, state):
    usage = namedtuple("usage", "total used free")
    asked = []
    monkeypatch.setattr(
        storage.shutil, "disk_usage", lambda path: asked.append(path) or usage(0, 0, free)
    )
    assert storage.examine_room(tmp_path / "not" / "there").state == state
    assert asked == [tmp_path]


def test_unwritable_work_folder_is_refused(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: not a folder"):
        storage.existing(tmp_path / "file" / "below")
    monkeypatch.setattr(storage.os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match="not writable"):
        storage.existing(tmp_path)


def test_report_is_complete_and_leaves_no_files(monkeypatch, pack, tmp_path):
    """All sections in order, with a note on the missing vessel masks."""
    for name in ("read_rate", "decode_rate", "gather_rate"):
        monkeypatch.setattr(storage, name, lambda *which: 1e9)
    found = list(examine(tmp_path / "work", [pack]))
    assert list(dict.fromkeys(part for part, _ in found)) == ["software", "processors", "storage"]
    names = [one.name for _, one in found]
    assert {"torch", "git", "torch.compile", "cpu cores", "shared memory"} <= set(names)
    assert names[-2:] == ["gathering", "anatomy"]
    assert found[-1][1].state == "note"
    assert not (tmp_path / "work").exists()


def test_bad_pack_is_refused_first(monkeypatch, tmp_path):
    monkeypatch.setattr(software, "examine_software", lambda: pytest.fail("too late"))
    with pytest.raises(InputError, match="no such folder"):
        next(examine(tmp_path, [tmp_path / "none"]))

"""Choosing frames of a source, reading them, and the account of what is left out."""

from __future__ import annotations

import errno
import json
import os

import numpy as np
import pytest
from raw_layouts import PICTURES, MemorySource, picture, save
from video_source import VideoSource

from benchmark.data import selection
from benchmark.data.frame import Frame, UnreadableFrame
from benchmark.data.selection import (
    SkipLog,
    Walk,
    read_usable,
    reasons_line,
    refuse_skips,
    select_frames,
    summarise_skips,
    write_report,
)
from benchmark.data.sources.files import FolderSource
from benchmark.data.spool import Spool
from benchmark.errors import InputError
from benchmark.files import write_json

# choosing


def test_excluded_groups_are_left_out_before_the_limit():
    every = [frame for frame in MemorySource(PICTURES).frames() if frame.group != "memory/1"]
    chosen = select_frames(MemorySource(PICTURES), limit=5, exclude=["memory/1"])
    assert chosen.frames == every[:5]
    walk = Walk(MemorySource(PICTURES), ["train"], None, {"memory/1"})
    assert [frame.group for frame in walk] == ["memory/0"] * 7
    assert (walk.found, walk.chosen, walk.excluded) == (20, 7, 7)


def test_groups_of_other_sources_may_be_excluded_but_something_has_to_be_left():
    exclude = ["memory/1", "other/1", "memory/01"]
    assert len(select_frames(MemorySource(PICTURES), exclude=exclude).frames) == 13
    with pytest.raises(InputError, match=r"no usable frame \(group left out: 20\)"):
        select_frames(MemorySource(PICTURES), exclude=[f"memory/{n}" for n in range(3)])


class _Odd(MemorySource):
    """A source with names and numbers that no table can hold."""

    def frames(self):
        good, *_ = super().frames()
        yield good
        yield Frame(self.name, "bad\udcff.png", split="train")
        yield Frame(self.name, "good.png", group="\ud800", split="train")
        yield Frame(self.name, "late.png", frame=1 << 63, split="test")
        yield Frame(self.name, "time.png", frame=20240131235959, split="test")


def test_frames_that_cannot_be_stored_are_left_out_by_reason():
    source = _Odd(PICTURES)
    chosen = select_frames(source)
    assert [frame.path for frame in chosen.frames] == ["000.png", "time.png"]
    assert source.report.counts == {"name is not Unicode": 2, "frame number beyond 64 bits": 1}


# reading


class _Folder(FolderSource):
    name = "folder"

    def __init__(self, root):
        super().__init__()
        self.root = root


def test_a_file_that_was_replaced_since_the_walk_is_one_bad_frame(tmp_path):
    source, frame = _Folder(tmp_path), Frame("folder", "a/1.png")
    file = save(tmp_path / "a" / "1.png", picture(1))
    np.testing.assert_array_equal(read_usable(source, frame), picture(1))
    save(file, picture(2, 30, 40))
    np.testing.assert_array_equal(read_usable(source, frame), picture(2, 30, 40))

    def reason():
        with pytest.raises(UnreadableFrame) as caught:
            read_usable(source, frame)
        return str(caught.value)

    file.write_bytes(b"not a picture")
    assert reason() == "not an image"
    file.unlink()
    assert reason() == "file missing"
    file.mkdir()
    assert reason() == "not a file"
    file.rmdir()
    file.symlink_to(file)
    assert reason() in {"not a file", "file missing"}
    file.unlink()
    file.parent.rmdir()
    file.parent.touch()
    assert reason() == "not a file"


def test_a_failing_disk_is_not_a_property_of_the_frame():
    class Failing(MemorySource):
        def read(self, frame):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        read_usable(Failing([]), Frame("memory", "000.png"))


# the account

ITEMS = [
    ("damaged image", "b.png"),
    ("empty file", 'quote".png'),
    ("damaged image", "a.png"),
    ("damaged image", "new\nline, ü, \N{MICRO SIGN}.png"),
]


@pytest.mark.parametrize("memory", [1, 1 << 20])
def test_the_streamed_report_equals_the_one_made_in_memory(tmp_path, monkeypatch, memory):
    monkeypatch.setattr(selection, "_SPOOL_BYTES", memory)
    for items in ([], ITEMS, ITEMS * 30):
        expected = {}
        for reason, path in items:
            paths = expected.setdefault(reason, {"count": 0, "paths": []})["paths"]
            paths.append(path)
            expected[reason]["count"] = len(paths)
        write_json(tmp_path / "expected.json", expected)
        write_report(tmp_path / "report.json", items)
        written = (tmp_path / "report.json").read_bytes()
        assert written == (tmp_path / "expected.json").read_bytes()


def test_the_log_sums_up_like_the_lists_do(tmp_path):
    log = SkipLog()
    log.refuse()
    log.extend(ITEMS * 10)
    assert log.summary == summarise_skips(ITEMS * 10)
    assert log.counts == {"damaged image": 30, "empty file": 10}
    for refuse in (log.refuse, lambda: refuse_skips(ITEMS * 10)):
        with pytest.raises(InputError, match=r"40 left out \(damaged image: 30, empty file: 10\)"):
            refuse()
    assert reasons_line(ITEMS) == "damaged image: 3, empty file: 1"
    log.write(tmp_path / "one.json")
    log.add("empty file", "later.png")
    log.write(tmp_path / "two.json")
    later = json.loads((tmp_path / "two.json").read_text(encoding="utf-8"))["empty file"]
    assert later == {"count": 11, "paths": ['quote".png'] * 10 + ["later.png"]}


def test_a_name_that_is_not_unicode_can_be_reported(tmp_path):
    write_report(tmp_path / "report.json", [("name is not Unicode", "bad\udcff.png")])
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["name is not Unicode"]["paths"] == ["bad\\udcff.png"]


def test_taking_a_report_leaves_its_counts():
    source, log = VideoSource(), SkipLog()
    for _ in source.frames():
        log.take(source.report)
        assert source.report.items == []
    assert log.counts == source.report.counts == {"not a picture": 8}


@pytest.mark.parametrize("memory", [10, 1000])
def test_a_spool_keeps_the_order_and_grows_after_reading(memory):
    spool = Spool(memory)
    for number in range(9):
        spool.append(b"%d" % number)
    assert list(spool) == [b"%d" % number for number in range(9)]
    assert next(iter(spool)) == b"0"
    spool.append(b"nine")
    assert list(spool)[-2:] == [b"8", b"nine"]
    spool.close()

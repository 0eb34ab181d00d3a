"""Selecting frames of a source, reading them, and the account of what is skipped."""

from __future__ import annotations

import errno
import json
import os

import numpy as np
import pytest
from raw_layouts import PICTURES, MemorySource, picture, save

from benchmark.data.frame import Frame, SkipReport, UnreadableFrame
from benchmark.data.selection import read_usable, select_frames
from benchmark.data.skips import no_usable_frame, refuse_skips, summarise_skips, write_report
from benchmark.data.sources.files import FolderSource
from benchmark.data.tasks import write_task_folder
from benchmark.errors import InputError

# selecting


def test_excluded_groups_are_dropped_before_the_limit():
    every = [frame for frame in MemorySource(PICTURES).frames() if frame.group != "memory/1"]
    selection = select_frames(MemorySource(PICTURES), limit=5, exclude=["memory/1"])
    assert selection.frames == every[:5]
    selection = select_frames(MemorySource(PICTURES), ["train"], None, {"memory/1"})
    assert [frame.group for frame in selection.frames] == ["memory/0"] * 7
    assert (selection.found, selection.excluded) == (20, 7)


def test_groups_of_other_sources_may_be_excluded_but_something_has_to_be_left():
    exclude = ["memory/1", "other/1", "memory/01"]
    assert len(select_frames(MemorySource(PICTURES), exclude=exclude).frames) == 13
    with pytest.raises(InputError, match=r"no usable frame \(excluded group: 20\)"):
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


def test_frames_that_cannot_be_stored_are_skipped_by_reason():
    source = _Odd(PICTURES)
    selection = select_frames(source)
    assert [frame.path for frame in selection.frames] == ["000.png", "time.png"]
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


def test_the_report_lists_every_path_and_the_summary_twenty(tmp_path):
    write_report(tmp_path / "report.json", ITEMS * 10)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    summary = summarise_skips(ITEMS * 10)
    assert list(report) == ["damaged image", "empty file"]
    for reason, entry in report.items():
        paths = [path for named, path in ITEMS * 10 if named == reason]
        assert entry == {"count": len(paths), "paths": paths}
        assert summary[reason] == {"count": len(paths), "examples": paths[:20]}


def test_messages_count_what_was_skipped():
    refuse_skips([])
    counts = r"\(damaged image: 3, empty file: 1\)"
    with pytest.raises(InputError, match=rf"4 skipped {counts}, .* b\.png"):
        refuse_skips(ITEMS)
    with pytest.raises(InputError, match=f"x: no usable frame {counts}$"):
        raise no_usable_frame("x", ITEMS)
    assert str(no_usable_frame("x", [])) == "x: no usable frame"
    report = SkipReport(ITEMS)
    assert report.counts == {"damaged image": 3, "empty file": 1}


def test_a_name_that_is_not_unicode_can_be_reported(tmp_path):
    folder = write_task_folder(_Odd([picture(1)]), tmp_path / "task", progress=False)
    assert folder.manifest["skipped"]["name is not Unicode"]["examples"][0] == "bad\\udcff.png"
    report = json.loads((folder.path / "report.json").read_text(encoding="utf-8"))
    assert report["name is not Unicode"]["paths"] == ["bad\\udcff.png", "good.png"]

"""Full disks, damaged records, killed workers, changing sources: one-line errors, no bad pack."""

from __future__ import annotations

import errno
import os
import signal
from contextlib import contextmanager

import pytest
from raw_layouts import PICTURES, Interruption, build_small, folder_bytes, picture, save
from video_source import SIZE, VideoSource, build

from benchmark.data.frame import Frame, SkipReport
from benchmark.data.packs import FramePack, add_anatomy, build_pack
from benchmark.data.sources.files import FolderSource
from benchmark.errors import InputError
from benchmark.files import write_json


class _Stopping(VideoSource):
    """Is interrupted at the first frame of the fifth video."""

    def read(self, frame):
        if frame.path == "v00004/00.png":
            raise Interruption
        return super().read(frame)


@pytest.fixture
def unfinished(tmp_path):
    """An unfinished pack: 45 of 72 frames, in 9 chunks."""
    with pytest.raises(Interruption):
        build(_Stopping(), tmp_path / "pack", thin=6)
    return tmp_path / "pack.partial"


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """The files of a pack that was built without interruption."""
    out = tmp_path_factory.mktemp("complete") / "pack"
    return folder_bytes(build(VideoSource(), out, thin=6).path)


@contextmanager
def full_disk(monkeypatch, at):
    """The disk is full from fsync number `at` on, which is an error that names the pack."""
    real, calls = os.fsync, []

    def fsync(handle):
        calls.append(handle)
        if len(calls) > at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(OSError, match="No space left on device") as caught:
            yield
    assert "pack" in caught.value.filename


@pytest.mark.parametrize(("at", "workers"), [(0, 0), (1, 2), (7, 0), (20, 2)])
def test_resume_after_a_full_disk(tmp_path, monkeypatch, complete, at, workers):
    with full_disk(monkeypatch, at):
        build(VideoSource(), tmp_path / "pack", thin=6, workers=workers)
    build(VideoSource(), tmp_path / "pack", thin=6)
    assert folder_bytes(tmp_path / "pack") == complete


def test_full_disk_keeps_finished_masks(tmp_path, monkeypatch):
    pack = build_small(tmp_path / "pack", PICTURES[:3])
    with full_disk(monkeypatch, 0):
        add_anatomy(pack.path, lambda frames, valid: frames < 90, {}, progress=False)
    masks = add_anatomy(pack.path, lambda frames, valid: frames < 90, {}, progress=False)
    assert masks.has_anatomy


def test_unwritable_folder_is_a_one_line_error(tmp_path, monkeypatch):
    (tmp_path / "pack.partial").touch()
    with pytest.raises(InputError, match=r"pack\.partial: exists and is not a folder"):
        build_small(tmp_path / "pack")

    def refuse(*arguments, **keywords):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(PermissionError) as caught:
        build_small(tmp_path / "other")
    assert caught.value.filename == str(tmp_path / "other")


def test_damaged_records_are_detected(unfinished):
    def refused(file, content):
        good = file.read_bytes() if file.exists() else None
        file.write_bytes(content)
        with pytest.raises(InputError, match=rf"{file.name}: damaged; remove .*pack\.partial to"):
            build(VideoSource(), unfinished.with_name("pack"), thin=6)
        file.unlink() if good is None else file.write_bytes(good)

    before = folder_bytes(unfinished)
    for number in (0, 3, 8):
        file = unfinished / "chunks" / f"{number:06d}.chunk"
        content = file.read_bytes()
        place = content.index(b"v0000") + 3
        flipped = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        for harmed in (content[: len(content) // 2], b"", flipped):
            refused(file, harmed)
    for content in (b"", b"{", b"[]", b"null"):
        refused(unfinished / "chunks" / "plan.json", content)
        refused(unfinished / "manifest.json", content)
    assert folder_bytes(unfinished) == before
    build(VideoSource(), unfinished.with_name("pack"), thin=6)


def test_changed_frame_list_is_refused(unfinished):
    class Grown(VideoSource):
        def frames(self):
            yield from super().frames()
            yield Frame(self.name, "v00006/00.png", frame=0)

    for source, thin in ((Grown(), 6), (VideoSource(5), 6), (VideoSource(), 5)):
        with pytest.raises(InputError, match="was started with other frames or parameters"):
            build(source, unfinished.with_name("pack"), thin=thin)
    build(VideoSource(), unfinished.with_name("pack"), thin=6)


def test_files_changed_between_walk_and_read(tmp_path):
    class Folder(FolderSource):
        name = "folder"

        def __init__(self, root):
            super().__init__()
            self.root = root

        def frames(self):
            self.report = SkipReport()
            for number in range(6):
                yield Frame(self.name, f"{number}.png")
            files = [self.root / f"{number}.png" for number in range(6)]
            save(files[0], picture(20, 20, 30))
            files[1].write_bytes(files[1].read_bytes()[:100])
            files[2].unlink()
            files[3].unlink()
            files[3].mkdir()
            files[4].write_bytes(b"")

    for number in range(6):
        save(tmp_path / "raw" / f"{number}.png", picture(number))
    pack = build_pack(Folder(tmp_path / "raw"), tmp_path / "pack", SIZE, progress=False)
    assert pack.index["path"].tolist() == ["0.png", "5.png"]
    assert pack.index[["height", "width"]].to_numpy().tolist() == [[20, 30], [48, 48]]
    reasons = {reason: entry["examples"] for reason, entry in pack.manifest["skipped"].items()}
    assert reasons == {
        "damaged image": ["1.png"],
        "file missing": ["2.png"],
        "not a file": ["3.png"],
        "empty file": ["4.png"],
    }


def test_killed_worker_is_a_one_line_error(tmp_path, complete):
    class Deadly(VideoSource):
        def read(self, frame):
            if frame.path == "v00002/06.png":
                os.kill(os.getpid(), signal.SIGKILL)
            return super().read(frame)

    with pytest.raises(InputError, match="drifting: a worker process was killed, as happens when"):
        build(Deadly(), tmp_path / "pack", workers=2, thin=6)
    build(VideoSource(), tmp_path / "pack", thin=6)
    assert folder_bytes(tmp_path / "pack") == complete


def test_leftovers_of_a_killed_write_are_not_published(unfinished):
    for name in ("index.parquet.0123abcd-17-0.tmp", "manifest.json.0123abcd-17-1.tmp"):
        (unfinished / name).write_bytes(b"half")
    pack = build(VideoSource(), unfinished.with_name("pack"), thin=6)
    assert sorted(path.name for path in pack.path.iterdir()) == [
        "frames.u8",
        "index.parquet",
        "manifest.json",
        "report.json",
    ]


def test_frame_number_may_be_a_time_stamp(tmp_path):
    class Stamped(VideoSource):
        def frames(self):
            yield Frame(self.name, "v00000/00.png", frame=20240131235959)

        def read(self, frame):
            return picture(1)

    pack = build(Stamped(), tmp_path / "pack")
    assert pack.index["frame"].tolist() == [20240131235959]


@pytest.mark.parametrize("key", ["parameters", "corpus_hash", "plan_hash", "skipped"])
def test_incomplete_manifest_is_refused(tmp_path, key):
    pack = build_small(tmp_path / "pack", PICTURES[:3])
    manifest = {name: value for name, value in pack.manifest.items() if name != key}
    write_json(pack.path / "manifest.json", manifest)
    with pytest.raises(InputError, match=rf"manifest\.json: key '{key}' is missing; make it again"):
        FramePack.open(pack.path)

"""Files are either absent or whole: what a failure leaves behind, and the hashes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest
import torch

from benchmark import files
from benchmark.errors import InputError
from benchmark.files import (
    atomic_write,
    check_output_folder,
    read_json,
    sha256_bytes,
    sha256_file,
    sha256_json,
    write_json,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_new_content_appears_at_the_end_only(tmp_path):
    """Until the block ends the target has its old content; afterwards no other file is left."""
    target = tmp_path / "new" / "folder" / "a.bin"
    for content in (b"first", b"second"):
        before = target.read_bytes() if target.exists() else None
        with atomic_write(target) as stream:
            stream.write(content)
            stream.flush()
            assert (target.read_bytes() if target.exists() else None) == before
        assert target.read_bytes() == content
        assert names(target.parent) == ["a.bin"]


def _write_half(target: Path, error: type[BaseException]) -> None:
    with atomic_write(target) as stream:
        stream.write(b"half")
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_failure_leaves_the_old_content(tmp_path, error):
    """Any exception in the block keeps the old file and removes the temporary one."""
    target = tmp_path / "a.bin"
    for expected in ([], ["a.bin"]):
        with pytest.raises(error):
            _write_half(target, error)
        assert names(tmp_path) == expected
        write_text(target, "old")
    assert target.read_text() == "old"


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_failing_disk_leaves_the_old_content(tmp_path, monkeypatch, call):
    """So does an error of the file system itself."""
    target = tmp_path / "a.txt"
    write_text(target, "old")

    def fail(*arguments: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="no space"):
        write_text(target, "new")
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_content_is_on_disk_before_the_rename(tmp_path, monkeypatch):
    """fsync of the file, then the rename, then fsync of the folder."""
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def record_fsync(handle: int) -> None:
        calls.append("folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file")
        fsync(handle)

    def record_replace(source: Path, target: Path) -> None:
        assert Path(source).read_bytes() == b"whole"
        assert Path(source).parent == Path(target).parent
        calls.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    with atomic_write(tmp_path / "a.bin") as stream:
        stream.write(b"whole")
    if not os.path.isdir("/proc/self/fd"):
        calls = [call.replace("folder", "file") for call in calls]
        assert calls == ["file", "rename", "file"]
    else:
        assert calls == ["file", "rename", "folder"]


def test_a_file_in_the_place_of_a_folder_is_found_beforehand(tmp_path):
    """Of the folder or of a parent, a dangling link too; nothing is created."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for blocked in ("file", "file/a/b", "link"):
        with pytest.raises(InputError, match=f"/{blocked[:4]}: a file stands where a folder is"):
            check_output_folder(tmp_path / blocked)
    check_output_folder(tmp_path / "new" / "folder")
    check_output_folder("relative/folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_json_is_strict_and_canonical(tmp_path):
    """Equal values give equal bytes; NaN is refused and leaves the old file."""
    value = {"b": [1, 2.5, None], "a": {"ö": "Å", "x": True}}
    write_json(tmp_path / "one.json", value)
    write_json(tmp_path / "two.json", dict(reversed(value.items())))
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    text = (tmp_path / "one.json").read_bytes().decode("utf-8")
    assert "ö" in text
    assert text.endswith("}\n")
    assert json.loads(text) == value == read_json(tmp_path / "one.json")
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="JSON"):
            write_json(tmp_path / "one.json", {"a": bad})
    assert read_json(tmp_path / "one.json") == value
    assert names(tmp_path) == ["one.json", "two.json"]


def test_a_name_that_is_not_utf8_is_refused_and_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "one.json", {"raw": "x"})
    with pytest.raises(InputError, match=r"one\.json: cannot hold a name.*/data/\\xff/x"):
        write_json(tmp_path / "one.json", {"raw": os.fsdecode(b"/data/\xff/x")})
    assert read_json(tmp_path / "one.json") == {"raw": "x"}
    assert names(tmp_path) == ["one.json"]


def test_hashes(tmp_path):
    """Known digests, files larger than one read, and JSON without regard to the order of keys."""
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_bytes(b"abc") == sha256_bytes(memoryview(b"abc")) == abc
    content = bytes(range(256)) * 8192 + b"tail"
    (tmp_path / "large").write_bytes(content)
    assert sha256_file(tmp_path / "large") == hashlib.sha256(content).hexdigest()
    expected = hashlib.sha256(b'{"a":[1,2.5],"b":null}').hexdigest()
    assert sha256_json({"b": None, "a": [1, 2.5]}) == sha256_json({"a": [1, 2.5], "b": None})
    assert sha256_json({"a": [1, 2.5], "b": None}) == expected
    assert sha256_json({"a": [2.5, 1], "b": None}) != expected


def test_a_full_disk_is_named_whatever_the_writer_makes_of_it(tmp_path, monkeypatch):
    """torch reports `unexpected pos`, a `RuntimeError` without a path."""

    def write(raw: files._RawFile, data: bytes) -> int:
        raw.refusal = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise raw.refusal

    monkeypatch.setattr(files._RawFile, "write", write)

    def save() -> None:
        with atomic_write(tmp_path / "epoch_1.pth") as stream:
            torch.save({"a": torch.zeros(100_000)}, stream)

    with pytest.raises(OSError, match="No space left") as caught:
        save()
    assert caught.value.filename == str(tmp_path / "epoch_1.pth")
    assert names(tmp_path) == []


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
def test_a_drive_without_fsync_gets_the_file_and_a_note(tmp_path, monkeypatch, capsys, code):
    def fsync(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(files, "_noted", set())
    monkeypatch.setattr(os, "fsync", fsync)
    for content in ("first", "second"):
        write_text(tmp_path / "a.txt", content)
        assert (tmp_path / "a.txt").read_text() == content
    assert capsys.readouterr().err.count("note: ") == 1
    assert names(tmp_path) == ["a.txt"]


def test_only_what_matches_is_removed(tmp_path):
    keep = tmp_path / "keep"
    for name in ("epoch_1.pth", "epoch.txt", "predictions/a.png", "predictions/b.txt", "x/c.png"):
        (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / name).touch()
    keep.mkdir()
    (keep / "d.png").touch()
    (tmp_path / "run" / "epoch_2.pth").symlink_to(keep / "d.png")
    (tmp_path / "run" / "epoch_3.pth").mkdir()
    files.remove_written(tmp_path / "run", ["epoch_*.pth", "predictions/*.png", "x/*.png"])
    left = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file())
    assert left == ["keep/d.png", "run/epoch.txt", "run/predictions/b.txt"]
    assert not (tmp_path / "run" / "x").exists(), "empty, and nothing else was in it"

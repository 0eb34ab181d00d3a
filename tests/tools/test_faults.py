"""What the system refuses: one line and code 2 from every tool, and nothing half-written."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from pathlib import Path

import faults
import numpy as np
import pytest

from benchmark import files


def assert_one_line(done, where: Path) -> None:
    assert done.returncode == 2, done
    errors = [line for line in done.stderr.splitlines() if not line.startswith("note: ")]
    assert len(errors) == 1, done.stderr
    assert errors[0].startswith("error: ")
    assert where.name[:200] in errors[0]


def left(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize("place", faults.PLACES)
@pytest.mark.parametrize("name", faults.WRITERS)
def test_a_place_that_cannot_be_written(call, tmp_path, name, place):
    out = faults.PLACES[place](tmp_path)
    before = left(tmp_path)
    with faults.no_privileges():
        done = call(faults.WRITERS[name], out)
    assert_one_line(done, out if place == "long name" else out.parent)
    assert left(tmp_path) == before


@pytest.mark.parametrize(
    "name",
    [
        # A whole sweep with its processes.
        pytest.param(name, marks=pytest.mark.slow) if name == "matrix" else name
        for name in faults.WRITERS
    ],
)
def test_a_full_disk(call, tmp_path, name):
    out = tmp_path / "out"
    with faults.full_disk():
        done = call(faults.WRITERS[name], out)
    # Frames to measure with, and predictions to score, are written first.
    elsewhere = name in ("bench", "test")
    assert_one_line(done, Path(tempfile.gettempdir()) if elsewhere else out)
    for path in left(tmp_path):
        assert not path.endswith((".tmp", ".lock")), path
        whole = (tmp_path / path).is_dir() or (tmp_path / path).stat().st_size < 150
        assert whole or ".partial/" in path, path


@pytest.mark.parametrize("place", ["symlink loop", "long name", "unreadable", "file in the way"])
@pytest.mark.parametrize("name", faults.READERS)
def test_a_place_that_cannot_be_read(call, tmp_path, name, place):
    out = {**faults.PLACES, "unreadable": faults.unreadable}[place](tmp_path)
    with faults.no_privileges():
        done = call(faults.READERS[name], out)
    assert_one_line(done, out if place == "long name" else out.parent)
    assert left(tmp_path / "spare") == set()


@pytest.mark.parametrize("name", [name for name in faults.WRITERS if name != "matrix"])
def test_a_drive_without_fsync_locks_and_maps(call, tmp_path, monkeypatch, name):
    """One note for each that is missed, and the result is there."""

    def refuse(code: int):
        def refused(*arguments: object, **options: object) -> None:
            raise OSError(code, os.strerror(code))

        return refused

    monkeypatch.setattr(files, "_noted", set())
    monkeypatch.setattr(os, "fsync", refuse(errno.EINVAL))
    monkeypatch.setattr(fcntl, "lockf", refuse(errno.ENOLCK))
    monkeypatch.setattr(np, "memmap", refuse(errno.ENODEV))
    done = call(faults.WRITERS[name], tmp_path / "out")
    assert done.returncode == 0, done.stderr
    notes = [line for line in done.stderr.splitlines() if line.startswith("note: ")]
    kinds = {word for word in ("no fsync", "no locks", "no memory mapping") if word in done.stderr}
    assert len(notes) == len(kinds)
    assert "no fsync" in kinds or name == "raw"
    assert (tmp_path / "out").exists()

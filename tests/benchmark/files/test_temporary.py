"""What killed processes leave behind, and what is another one's to write."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmark.files import atomic_write, write_json, write_text
from benchmark.files import temporary as temporary_files
from benchmark.files.temporary import ABANDONED, remove_leftovers, temporary_beside

ROOT = Path(__file__).resolve().parents[3]
_HANG = """
import sys, time
from benchmark.files import atomic_write
with atomic_write(sys.argv[1]) as stream:
    stream.write(b"half")
    stream.flush()
    print("writing", flush=True)
    time.sleep(600)
"""


def writer(path: Path) -> subprocess.Popen[str]:
    """A process in the middle of writing a file."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HANG, str(path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    process.stdout.close()
    return process


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(autouse=True)
def _first_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporary_files, "_tidied", set())


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path):
    """Whichever file of the folder it writes; a living process keeps its own."""
    next_name = "another.csv"
    killed, living = writer(tmp_path / "board.md"), writer(tmp_path / "board.csv")
    try:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert len(names(tmp_path)) == 2
        write_text(tmp_path / next_name, "whole")
        (kept,) = [name for name in names(tmp_path) if name != next_name]
        assert re.fullmatch(rf"board\.csv\.[0-9a-f]{{8}}-{living.pid}-\d+\.tmp", kept)
    finally:
        living.kill()
        living.wait()
    remove_leftovers(tmp_path)
    assert names(tmp_path) == [next_name]


def test_a_file_of_another_machine_is_left_for_a_day(tmp_path, monkeypatch):
    """Its process ids mean nothing here: that of a dead process may live there."""
    with monkeypatch.context() as there:
        there.setattr(temporary_files, "_machine", lambda: "0123abcd")
        there.setattr("os.getpid", lambda: 999_999_999)
        other = temporary_beside(tmp_path / "a.json")
    other.touch()
    remove_leftovers(tmp_path)
    assert other.exists()
    then = time.time() - ABANDONED - 60
    os.utime(other, (then, then))
    remove_leftovers(tmp_path)
    assert not other.exists()


def test_a_number_that_went_to_another_process_keeps_nothing_for_good(tmp_path):
    mine = temporary_beside(tmp_path / "a.json")
    mine.touch()
    remove_leftovers(tmp_path)
    assert mine.exists()
    then = time.time() - ABANDONED - 60
    os.utime(mine, (then, then))
    remove_leftovers(tmp_path)
    assert not mine.exists()


def test_who_is_alone_in_a_folder_removes_all_of_them(tmp_path):
    temporary_beside(tmp_path / "a.json").touch()
    remove_leftovers(tmp_path, exclusive=True)
    assert names(tmp_path) == []


def test_nothing_else_is_ever_removed(tmp_path):
    """Neither a user's files, nor folders or links of such a name; nor what lies below."""
    theirs = ["notes.tmp", "run.json.9.tmp", "a.0123456-7-0.tmp", "b.0123abcd-7-0.tmp.txt"]
    for name in theirs:
        (tmp_path / name).touch()
    template = temporary_beside(Path("x")).name
    (tmp_path / template.replace("x.", "folder.")).mkdir()
    (tmp_path / template.replace("x.", "link.")).symlink_to(tmp_path / "notes.tmp")
    below = tmp_path / "below" / template
    below.parent.mkdir()
    below.touch()
    before = names(tmp_path)
    remove_leftovers(tmp_path, exclusive=True)
    assert names(tmp_path) == before
    assert below.exists()
    remove_leftovers(tmp_path / "absent")


def test_a_name_that_fills_its_255_bytes_can_be_written(tmp_path):
    """Of one byte or of two to a letter."""
    for name in ("a" * 255, "ä" * 127):
        write_json(tmp_path / name, 1)
        with pytest.raises(OSError, match=re.escape(name)):
            write_json(tmp_path / (name + "bc"), 1)
    assert names(tmp_path) == sorted(["a" * 255, "ä" * 127])


def test_two_writers_of_one_file_do_not_share_a_temporary_one(tmp_path):
    """Two threads, or a block within a block: the last to end wins, whole."""
    with atomic_write(tmp_path / "a") as outer:
        outer.write(b"outer, ")
        with atomic_write(tmp_path / "a") as inner:
            inner.write(b"inner")
        outer.write(b"whole")
    assert (tmp_path / "a").read_bytes() == b"outer, whole"
    assert names(tmp_path) == ["a"]

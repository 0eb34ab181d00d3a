"""One writer at a time, locks that children keep, and folders that are absent or complete."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmark import files
from benchmark.errors import InputError
from benchmark.files.locking import (
    SILENCE,
    acquire,
    hold,
    hold_folder,
    holder_of,
    is_locked,
    lock_beside,
    new_folder,
    remove_left,
    remove_unlocked,
    try_acquire,
)

HOLD = """
import sys
from pathlib import Path
from benchmark.files.locking import hold
with hold(Path(sys.argv[1]), Path("run"), "being trained"):
    print("held", flush=True)
    sys.stdin.read()
"""
ACQUIRE = (
    HOLD.replace("hold(", "acquire(")
    .replace("import hold", "import acquire")
    .replace(', Path("run"), "being trained"', "")
)
HOLDER = {"pid": 1, "host": "node7", "since": "2026-01-01 00:00 UTC"}
ODD = {
    "empty": b"",
    "binary": bytes(range(256)),
    "huge": b'{"host": "' + b"a" * 5_000_000,
    "number": b"7",
    "list": b'["host", "pid"]',
    "deep": b"[" * 4000,
    "digits": b'{"pid": ' + b"9" * 4050 + b"}",
    "half": b'{"host": "node7", "pid"',
    "no pid": b'{"host": "node7", "since": "now"}',
    "unprintable": json.dumps({**HOLDER, "host": "a\nb"}).encode(),
    "surrogate": b'{"host": "\\ud800", "pid": 1, "since": "now"}',
}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def holder(lock: Path, code: str = HOLD) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", code, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"held\n"
    return process


def test_the_second_process_is_told_who_holds_it(tmp_path):
    lock = tmp_path / ".lock"
    with holder(lock) as other:
        line = (
            rf"^run: is being trained by process {other.pid} on {re.escape(socket.gethostname())}"
        )
        line += r" since \d{4}-\d\d-\d\d \d\d:\d\d UTC; wait until it has ended, or stop it$"
        with pytest.raises(InputError, match=line), hold(lock, Path("run"), "being trained"):
            pytest.fail("entered")
        other.communicate()
    with hold(lock, Path("run"), "being trained"):
        assert names(tmp_path) == [".lock"]
    assert names(tmp_path) == []


def test_a_killed_holder_is_no_holder(tmp_path):
    with holder(tmp_path / ".lock") as other:
        other.kill()
        other.communicate()
    assert names(tmp_path) == [".lock"]
    with hold(tmp_path / ".lock", tmp_path, "being trained"):
        pass
    assert names(tmp_path) == []


def test_what_a_kill_at_the_very_end_has_left_is_removed(tmp_path):
    """Unless another process is at it: its lock, and what it needed until then."""
    lock, left, other = (tmp_path / name for name in (".lock", "progress.json", "result"))
    for path in (left, other):
        path.touch()
    with holder(lock) as process:
        remove_left(lock, left)
        assert names(tmp_path) == [".lock", "progress.json", "result"]
        process.kill()
        process.communicate()
    remove_left(lock, left)
    assert names(tmp_path) == ["result"]
    left.touch()
    remove_left(lock, left)
    assert names(tmp_path) == ["result"]
    lock.symlink_to(other)
    remove_left(lock)
    assert names(tmp_path) == [".lock", "result"]


def test_a_notebook_does_not_train_twice_at_once(tmp_path):
    """Record locks never refuse their own process; and a link to a run is that run."""
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to("run")
    with (
        hold(tmp_path / "run" / ".lock", tmp_path / "run", "being trained"),
        pytest.raises(InputError, match="link: is being trained by this process already"),
        hold(tmp_path / "link" / ".lock", tmp_path / "link", "being trained"),
    ):
        pytest.fail("entered")


def test_a_lock_removed_in_between_is_taken_again(tmp_path, monkeypatch):
    """The last holder unlinks the file after it was opened here and before it is locked."""
    lock, real, opened = tmp_path / ".lock", fcntl.lockf, []

    def lockf(stream, how) -> None:
        if not opened:
            lock.unlink()
        opened.append(stream)
        real(stream, how)

    monkeypatch.setattr(fcntl, "lockf", lockf)
    with hold(lock, tmp_path, "being trained"):
        assert len(opened) == 2
        elsewhere = subprocess.run([sys.executable, "-c", HOLD, lock], stderr=subprocess.PIPE)
        assert b"is being trained by process" in elsewhere.stderr
        # Another one of that name is not removed.
        lock.unlink()
        lock.touch()
    assert lock.exists()


def test_what_is_no_lock_is_left_alone(tmp_path):
    """A file of the user, a pipe (which would hang), a link (which would truncate its target)."""
    lock, thesis = tmp_path / ".lock", tmp_path / "thesis.txt"
    thesis.write_text("months of work")
    for make, message in (
        (lambda: lock.write_text("months of work"), "not a lock of ours"),
        (lambda: lock.write_text('{"pid": 1}'), "not a lock of ours"),
        (lambda: os.mkfifo(lock), "not a regular file"),
    ):
        make()
        with pytest.raises(InputError, match=message), hold(lock, tmp_path, "being trained"):
            pytest.fail("entered")
        lock.unlink()
    lock.symlink_to(thesis)
    with pytest.raises(OSError, match="symbolic"), hold(lock, tmp_path, "being trained"):
        pytest.fail("entered")
    assert thesis.read_text() == "months of work"


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP])
def test_without_locks_there_is_one_note(tmp_path, monkeypatch, capsys, code):
    def lockf(stream, how) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(files, "_noted", set())
    monkeypatch.setattr(fcntl, "lockf", lockf)
    for _ in range(2):
        with hold(tmp_path / ".lock", tmp_path, "being trained"):
            pass
    assert capsys.readouterr().err == (
        f"note: {tmp_path}: no locks on this file system; use it from one process at a time\n"
    )
    assert names(tmp_path) == []


def test_a_held_folder_is_gone_where_nothing_was_written(tmp_path):
    with hold_folder(tmp_path / "deep" / "run", "being trained"):
        assert names(tmp_path / "deep" / "run") == [".lock"]
    assert names(tmp_path) == []
    (tmp_path / "deep").mkdir()
    with hold_folder(tmp_path / "deep" / "run", "being trained"):
        pass
    assert names(tmp_path) == ["deep"], "which was there before"
    with hold_folder(tmp_path / "deep" / "run", "being trained"):
        (tmp_path / "deep" / "run" / "a").touch()
    assert names(tmp_path / "deep" / "run") == ["a"]


def test_a_new_folder_is_absent_or_complete(tmp_path):
    out = tmp_path / "deep" / "out"

    def fail() -> None:
        with new_folder(out, ["half*"]) as folder:
            (folder / "half").touch()
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail()
    assert names(out.parent) == []
    out.mkdir()
    with new_folder(out, ["complete"]) as folder:
        (folder / "complete").touch()
        assert not (out / "complete").exists()
    assert names(out) == ["complete"]
    with pytest.raises(InputError, match="is there already"), new_folder(out, ["complete"]):
        pytest.fail("entered")
    assert names(out.parent) == ["out"]


def test_a_new_folder_removes_only_what_it_writes(tmp_path):
    out, partial = tmp_path / "out", tmp_path / "out.partial"
    (partial / "images").mkdir(parents=True)
    (partial / "images" / "1.png").touch()
    with new_folder(out, ["images/*.png"]) as folder:
        assert names(folder) == []
        (folder / "images").mkdir()
        (folder / "images" / "2.png").touch()
    assert names(out / "images") == ["2.png"]

    third, other = tmp_path / "third", tmp_path / "other"
    (tmp_path / "third.partial").mkdir()
    thesis = tmp_path / "third.partial" / "thesis.txt"
    thesis.touch()
    with (
        pytest.raises(InputError, match=r"thesis\.txt: exists and was not written by us"),
        new_folder(third, ["images/*.png"]),
    ):
        pytest.fail("entered")
    assert thesis.exists()

    def crash() -> None:
        with new_folder(other, ["images/*.png"]) as folder:
            (folder / "notes.txt").touch()  # by the user, meanwhile
            raise RuntimeError

    with pytest.raises(RuntimeError):
        crash()
    assert names(tmp_path / "other.partial") == ["notes.txt"]


def test_two_do_not_make_the_same_folder(tmp_path):
    out = tmp_path / "out"
    with holder(lock_beside(out)) as other:
        with (
            pytest.raises(InputError, match=f"out: is being written by process {other.pid}"),
            new_folder(out, ["a"]),
        ):
            pytest.fail("entered")
        assert names(tmp_path) == [".out.lock"]
        other.communicate()


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system mounted without them."""

    def refuse(stream: object, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.parametrize("locks", [True, False])
@pytest.mark.parametrize("content", ODD.values(), ids=ODD)
def test_a_lock_that_says_something_else_is_free(tmp_path, content, locks, request):
    if not locks:
        request.getfixturevalue("no_locks")
    path = tmp_path / "a.lock"
    path.write_bytes(content)
    assert not is_locked(path)
    with acquire(path):
        assert is_locked(path)
        assert try_acquire(path) is None
        assert holder_of(path).startswith(f"process {os.getpid()} on {socket.gethostname()} since")
    assert path.read_bytes() == b""


def test_held_is_what_the_kernel_says_whatever_is_written(tmp_path):
    path = tmp_path / "a.lock"
    with acquire(path):
        for content in ODD.values():
            path.write_bytes(content)
            assert is_locked(path)
            assert try_acquire(path) is None
            assert holder_of(path) == "another process"


def test_another_machine_holds_it_by_its_heartbeat(tmp_path):
    path = tmp_path / "a.lock"
    path.write_text(json.dumps(HOLDER))
    assert try_acquire(path) is None
    assert holder_of(path) == "process 1 on node7 since 2026-01-01 00:00 UTC"
    then = time.time() - SILENCE - 1
    os.utime(path, (then, then))
    with acquire(path):
        pass


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_neither_a_link_nor_a_pipe_is_opened(tmp_path, kind):
    """What the link leads to would be emptied, and a pipe waited for."""
    path, theirs = tmp_path / "a.lock", tmp_path / "thesis.tex"
    theirs.write_text("years of work")
    if kind == "link":
        path.symlink_to(theirs)
    else:
        os.mkfifo(path)
    for open_it in (try_acquire, is_locked):
        with pytest.raises((InputError, OSError), match=r"a\.lock"):
            open_it(path)
    assert theirs.read_text() == "years of work"


def test_a_free_lock_is_removed_and_a_held_one_is_not(tmp_path):
    path = tmp_path / "a.lock"
    with acquire(path) as descriptor:
        child = subprocess.Popen(["sleep", "600"], pass_fds=[descriptor])
        remove_unlocked(path)
        assert path.exists()
    remove_unlocked(path)
    assert path.exists()  # the child still has it
    child.kill()
    child.wait()
    remove_unlocked(path)
    assert not path.exists()
    remove_unlocked(path)


def test_a_lock_ends_with_its_holder(tmp_path):
    path = tmp_path / "jobs" / "job.lock"
    with holder(path, ACQUIRE) as process:
        assert is_locked(path)
        assert try_acquire(path) is None
        process.kill()
        process.communicate()
    assert not is_locked(path)
    with acquire(path):
        assert is_locked(path)
    assert path.read_text() == ""
    assert not is_locked(path)


def test_the_heart_of_a_holder_beats(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmark.files.locking.HEARTBEAT", 0.02)
    path = tmp_path / "jobs" / "job.lock"
    with acquire(path):
        os.utime(path, (1, 1))
        end = time.monotonic() + 60
        while path.stat().st_mtime < time.time() - 60:
            assert time.monotonic() < end
            time.sleep(0.05)


@pytest.mark.usefixtures("no_locks")
def test_without_locks_the_heartbeat_decides(tmp_path):
    path = tmp_path / "jobs" / "job.lock"
    with acquire(path):
        assert is_locked(path)
        os.utime(path, (1, 1))
        assert not is_locked(path)

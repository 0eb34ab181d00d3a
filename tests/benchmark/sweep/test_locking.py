"""Locks of jobs and of GPUs: whoever wrote into them, and wherever they are put."""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest

from benchmark.errors import InputError
from benchmark.sweep import devices, locking
from benchmark.sweep.devices import lend, lock_folder
from benchmark.sweep.locking import SILENCE, claim, holder_of, is_running, remove_free, take

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


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system mounted without them."""

    def refuse(stream: object, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locking.fcntl, "flock", refuse)


@pytest.mark.parametrize("content", ODD.values(), ids=ODD)
def test_a_lock_that_says_something_else_is_free(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.lock"
    path.write_bytes(content)
    assert not is_running(path)
    with claim(path):
        assert is_running(path)
        assert take(path) is None
        assert holder_of(path).startswith(f"process {os.getpid()} on {socket.gethostname()} since")
    assert path.read_bytes() == b""


@pytest.mark.parametrize("content", ODD.values(), ids=ODD)
@pytest.mark.usefixtures("no_locks")
def test_without_locks_too(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.lock"
    path.write_bytes(content)
    assert not is_running(path)
    with claim(path):
        assert is_running(path)
        assert take(path) is None


def test_held_is_what_the_kernel_says_whatever_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with claim(path):
        for content in ODD.values():
            path.write_bytes(content)
            assert is_running(path)
            assert take(path) is None
            assert holder_of(path) == "another process"


def test_another_machine_holds_it_by_its_signs_of_life(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    path.write_text(json.dumps(HOLDER))
    assert take(path) is None
    assert holder_of(path) == "process 1 on node7 since 2026-01-01 00:00 UTC"
    then = time.time() - SILENCE - 1
    os.utime(path, (then, then))
    with claim(path):
        pass


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_neither_a_link_nor_a_pipe_is_opened(tmp_path: Path, kind: str) -> None:
    """What the link leads to would be emptied, and a pipe waited for."""
    path, theirs = tmp_path / "a.lock", tmp_path / "thesis.tex"
    theirs.write_text("years of work")
    if kind == "link":
        path.symlink_to(theirs)
    else:
        os.mkfifo(path)
    for open_it in (take, is_running):
        with pytest.raises((InputError, OSError), match=r"a\.lock"):
            open_it(path)
    assert theirs.read_text() == "years of work"


def test_a_free_lock_is_removed_and_a_held_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with claim(path) as descriptor:
        child = subprocess.Popen(["sleep", "600"], pass_fds=[descriptor])
        remove_free(path)
        assert path.exists()
    remove_free(path)
    assert path.exists()  # the child still has it
    child.kill()
    child.wait()
    remove_free(path)
    assert not path.exists()
    remove_free(path)


def test_locks_of_gpus_lie_in_a_folder_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of this user and this machine, as several may share a home; not in a temporary folder."""
    folder = lock_folder()
    assert folder == tmp_path / "state" / "angio-ssl-bench" / "gpus" / socket.gethostname()
    while folder != tmp_path / "state":
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        folder = folder.parent
    monkeypatch.setattr(devices.socket, "gethostname", lambda: "node/7")
    assert lock_folder() == tmp_path / "state" / "angio-ssl-bench" / "gpus" / "node_7"
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_STATE_HOME", value)
        monkeypatch.setenv("HOME", str(tmp_path))
        assert tmp_path / ".local" / "state" in lock_folder().parents


@pytest.mark.parametrize("level", ["angio-ssl-bench", "angio-ssl-bench/gpus"])
@pytest.mark.parametrize("squat", ["link", "file", "open", "foreign"])
def test_a_folder_that_others_may_have_a_hand_in_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str, squat: str
) -> None:
    path = tmp_path / "state" / level
    path.parent.mkdir(parents=True)
    (tmp_path / "state").chmod(0o700)
    path.parent.chmod(0o700)
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o700)
    if squat == "link":
        path.symlink_to(theirs)
    elif squat == "file":
        path.touch(mode=0o700)
    else:
        path.mkdir()
        path.chmod(0o755 if squat == "open" else 0o700)
    if squat == "foreign":
        monkeypatch.setattr(os, "getuid", lambda: path.stat().st_uid + 1)
    expected = f"chmod 700 {path}; or set" if squat == "open" else "not a folder of yours"
    with pytest.raises(InputError, match=expected) as error:
        lock_folder()
    assert "XDG_STATE_HOME" in str(error.value)
    with pytest.raises(InputError), lend(["0"], 1):
        pass
    assert list(theirs.iterdir()) == []


def test_without_a_home_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    (tmp_path / "file").touch()
    for state in (tmp_path / "file", tmp_path / "file" / "state"):
        monkeypatch.setenv("XDG_STATE_HOME", str(state))
        with pytest.raises(InputError, match=rf"{state}: .*; or set XDG_STATE_HOME"):
            lock_folder()
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr(Path, "expanduser", unknown)
    with pytest.raises(InputError, match=r"home directory.*; or set XDG_STATE_HOME"):
        lock_folder()


def test_who_waits_for_a_gpu_is_told_for_whom(tmp_path: Path) -> None:
    told: list[str] = []

    def waiting(holder: str) -> None:
        told.append(holder)
        raise InterruptedError

    with lend(["0", "1"], 1), pytest.raises(InterruptedError), lend(["0", "1"], 2, waiting):
        pass
    (line,) = told
    assert line.startswith(f"GPU 0: process {os.getpid()} on {socket.gethostname()} since ")
    with lend(["0", "1"], 2, waiting) as (names, _):
        assert names == ["0", "1"]


def test_without_a_gpu_no_folder_is_made(tmp_path: Path) -> None:
    with lend(["0"], 0) as lent:
        assert lent == ([], [])
    assert not (tmp_path / "state").exists()

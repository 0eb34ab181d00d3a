"""GPUs of this machine: which there are, where their locks lie, and one job at a time on each."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from benchmark.errors import InputError
from benchmark.sweep import gpus
from benchmark.sweep.gpus import lend, lock_folder, visible_gpus


def test_a_gpu_is_lent_to_one_at_a_time(tmp_path, monkeypatch):
    """As long as somebody has the descriptor of its lock."""
    monkeypatch.setattr("benchmark.sweep.gpus.lock_folder", lambda: tmp_path)
    with lend(["0", "1", "2"], 2) as (first, locks), lend(["0", "1", "2"], 1) as (second, _):
        assert (first, second) == (["0", "1"], ["2"])
        child = subprocess.Popen(["sleep", "60"], pass_fds=locks)
    with lend(["0", "1", "2"], 1) as (third, _):
        assert third == ["2"]
    child.kill()
    child.wait()
    with lend(["0", "1", "2"], 3) as (all_of_them, _):
        assert all_of_them == ["0", "1", "2"]


def test_the_gpus_are_those_that_may_be_seen(monkeypatch):
    monkeypatch.delenv("ANGIO_DEVICE", raising=False)
    cases = [("2,3", ["2", "3"]), ("", []), ("-1", []), ("GPU-a", ["GPU-a"])]
    for value, names in (*cases, ("0,0", []), ("NoDevFiles", [])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
        assert visible_gpus() == names
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("PATH", "")
    assert visible_gpus() == []


def test_locks_of_gpus_lie_in_a_folder_of_their_own(tmp_path, monkeypatch):
    """Of this user and this machine, as several may share a home; not in a temporary folder."""
    folder = lock_folder()
    assert folder == tmp_path / "state" / "angio-ssl-bench" / "gpus" / socket.gethostname()
    while folder != tmp_path / "state":
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        folder = folder.parent
    monkeypatch.setattr(gpus.socket, "gethostname", lambda: "node/7")
    assert lock_folder() == tmp_path / "state" / "angio-ssl-bench" / "gpus" / "node_7"
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_STATE_HOME", value)
        monkeypatch.setenv("HOME", str(tmp_path))
        assert tmp_path / ".local" / "state" in lock_folder().parents


@pytest.mark.parametrize("level", ["angio-ssl-bench", "angio-ssl-bench/gpus"])
@pytest.mark.parametrize("squat", ["link", "file", "open", "foreign"])
def test_a_folder_that_others_may_have_a_hand_in_is_refused(tmp_path, monkeypatch, level, squat):
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


def test_without_a_home_the_remedy_is_named(tmp_path, monkeypatch):
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


def test_who_waits_for_a_gpu_is_told_for_whom(tmp_path):
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


def test_without_a_gpu_no_folder_is_made(tmp_path):
    with lend(["0"], 0) as lent:
        assert lent == ([], [])
    assert not (tmp_path / "state").exists()

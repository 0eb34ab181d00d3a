"""A build killed at any point leaves no trace in the finished pack."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from multiprocessing import forkserver
from pathlib import Path

import pytest
from raw_layouts import Interruption, folder_bytes
from video_source import VideoSource, build, build_until

SECONDS = 60
"""Longer than anything here takes; a test that waits so long fails."""


@pytest.fixture(scope="module")
def processes():
    """Processes forked from one that has imported everything and has no threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["video_source"])
    with pytest.MonkeyPatch.context() as patch:
        # Before Python 3.13, the fork server does not inherit sys.path.
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        forkserver.ensure_running()
    return context


@pytest.fixture(scope="module")
def complete(tmp_path_factory) -> dict[str, bytes]:
    """The files of a pack that was built without interruption."""
    out = tmp_path_factory.mktemp("complete") / "pack"
    return folder_bytes(build(VideoSource(), out, chunk=50, thin=6).path)


def _alive(process: int) -> bool:
    """Whether a process is running and no zombie."""
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state[0] not in "ZX"


def _started(processes, source: VideoSource, out: Path, step: int | None = None, **options):
    child = processes.Process(target=build_until, args=(step, source, out, options))
    child.start()
    return child


def _killed_at_random(processes, out: Path, workers: int, kills: int, seed: int) -> None:
    options = {"workers": workers, "thin": 6, "chunk": 4}
    source = VideoSource(delay=0.001)
    start = time.monotonic()
    child = _started(processes, source, out, **options)
    child.join(SECONDS)
    assert child.exitcode == 0
    usual = time.monotonic() - start
    shutil.rmtree(out)
    choose = random.Random(seed)
    for _ in range(kills):
        child = _started(processes, source, out, **options)
        child.join(choose.uniform(0, usual / 2))
        child.kill()
        child.join(SECONDS)
        assert child.exitcode in (0, -signal.SIGKILL)
    build(VideoSource(), out, **options)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_ten_random_kills(tmp_path, processes, complete, workers):
    _killed_at_random(processes, tmp_path / "pack", workers, kills=10, seed=workers)
    assert folder_bytes(tmp_path / "pack") == complete
    assert [path.name for path in tmp_path.iterdir()] == ["pack"]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_hundreds_of_random_kills(tmp_path, processes, complete, workers):
    for seed in range(25):
        _killed_at_random(processes, tmp_path / "pack", workers, kills=10, seed=100 + seed)
        assert folder_bytes(tmp_path / "pack") == complete
        shutil.rmtree(tmp_path / "pack")


#: Crash before every sixth change; before each of them when slow tests are asked for.
STRIDES = [6, pytest.param(1, marks=pytest.mark.slow)]


def _crash_at(processes, folder, source, expected, stride, chunk, unfinished=None, **options):
    """Crash a build before persistent changes of the disk in turn, and finish it."""
    for step in range(0, 200, stride):
        out = folder / f"pack{step}"
        if unfinished is not None:
            shutil.copytree(unfinished, folder / f"pack{step}.partial")
        child = _started(processes, source, out, step, **options, chunk=chunk)
        child.join(SECONDS)
        assert child.exitcode in (0, 9)
        build(source, out, **options)
        assert folder_bytes(out) == expected, f"crashed before change {step}"
        if child.exitcode == 0:
            break
    assert 20 < step < 194


@pytest.mark.parametrize("stride", STRIDES)
def test_crash_before_a_disk_change(tmp_path, processes, stride):
    expected = folder_bytes(build(VideoSource(1), tmp_path / "complete", thin=6).path)
    _crash_at(processes, tmp_path, VideoSource(1), expected, stride, chunk=6, thin=6)


@pytest.mark.parametrize("stride", STRIDES)
def test_crash_while_chunks_are_redone(tmp_path, processes, stride):
    """The records of later chunks vouch for pixels that are overwritten."""
    source = VideoSource(2, defects=False)
    clean = folder_bytes(build(source, tmp_path / "clean", thin=6).path)

    class Stopping(VideoSource):
        def frames(self):
            yield from source.frames()

        def read(self, frame):
            if frame.path == "v00001/11.png":
                raise Interruption
            return super().read(frame)

    with pytest.raises(Interruption):
        build(Stopping(2), tmp_path / "unfinished", thin=6, chunk=5)
    unfinished = tmp_path / "unfinished.partial"
    assert len(list((unfinished / "chunks").glob("*.chunk"))) == 4
    options = {"unfinished": unfinished, "thin": 6, "strict": True}
    _crash_at(processes, tmp_path, source, clean, stride, chunk=12, **options)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_workers_do_not_outlive_the_build(tmp_path, processes, complete, workers, number):
    seen = tmp_path / "seen"
    seen.mkdir()
    source = VideoSource(delay=0.01, seen_by=seen)
    options = {"workers": workers, "thin": 6, "chunk": 8}
    out = tmp_path / "pack"
    child = _started(processes, source, out, **options)
    until = time.monotonic() + SECONDS
    while len(list(seen.iterdir())) < max(1, workers):
        assert time.monotonic() < until
        time.sleep(0.005)
    os.kill(child.pid, number)
    child.join(SECONDS)
    assert child.exitcode == (130 if number == signal.SIGINT else -number)
    readers = [int(path.name) for path in seen.iterdir()]
    while any(_alive(reader) for reader in readers):
        assert time.monotonic() < until
        time.sleep(0.01)
    build(VideoSource(), out, **options)
    assert folder_bytes(out) == complete

"""A build that is killed, wherever that is, leaves no trace in the pack that is made in the end."""

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
        # Before Python 3.13 the server does not look where this process looks.
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        forkserver.ensure_running()
    return context


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    """The files of a pack that was built without interruption."""
    out = tmp_path_factory.mktemp("whole") / "pack"
    return folder_bytes(build(VideoSource(), out, chunk=50, thin=6).path)


def _alive(process: int) -> bool:
    """Whether a process runs; one that has ended and waits to be collected does not."""
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
    begun = time.monotonic()
    child = _started(processes, source, out, **options)
    child.join(SECONDS)
    assert child.exitcode == 0
    usual = time.monotonic() - begun
    shutil.rmtree(out)
    choose = random.Random(seed)
    for _ in range(kills):
        child = _started(processes, source, out, **options)
        child.join(choose.uniform(0, usual / 2))
        child.kill()
        child.join(SECONDS)
        assert child.exitcode in (0, -signal.SIGKILL)
    build(VideoSource(), out, **options)


@pytest.mark.parametrize("workers", [0, 2])
def test_ten_kills_at_random_change_no_byte(tmp_path, processes, whole, workers):
    _killed_at_random(processes, tmp_path / "pack", workers, kills=10, seed=workers)
    assert folder_bytes(tmp_path / "pack") == whole
    assert [path.name for path in tmp_path.iterdir()] == ["pack"]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_hundreds_of_kills_at_random_change_no_byte(tmp_path, processes, whole, workers):
    for seed in range(25):
        _killed_at_random(processes, tmp_path / "pack", workers, kills=10, seed=100 + seed)
        assert folder_bytes(tmp_path / "pack") == whole
        shutil.rmtree(tmp_path / "pack")


def _crash_everywhere(processes, folder, source, expected, chunk, begun=None, **options):
    """Crash builds before each lasting change of the disk, one after another, and finish them."""
    for step in range(200):
        out = folder / f"pack{step}"
        if begun is not None:
            shutil.copytree(begun, folder / f"pack{step}.partial")
        child = _started(processes, source, out, step, **options, chunk=chunk)
        child.join(SECONDS)
        assert child.exitcode in (0, 9)
        build(source, out, **options)
        assert folder_bytes(out) == expected, f"crashed before change {step}"
        if child.exitcode == 0:
            break
    assert 20 < step < 199


def test_a_crash_before_any_change_of_the_disk_leaves_no_trace(tmp_path, processes):
    expected = folder_bytes(build(VideoSource(1), tmp_path / "whole", thin=6).path)
    _crash_everywhere(processes, tmp_path, VideoSource(1), expected, chunk=6, thin=6)


def test_a_crash_while_repaired_chunks_are_redone_leaves_no_trace(tmp_path, processes):
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
        build(Stopping(2), tmp_path / "begun", thin=6, chunk=5)
    begun = tmp_path / "begun.partial"
    assert len(list((begun / "chunks").glob("*.chunk"))) == 4
    _crash_everywhere(processes, tmp_path, source, clean, 12, begun, thin=6, strict=True)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_no_process_outlives_a_build_that_is_ended(tmp_path, processes, whole, workers, number):
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
    assert folder_bytes(out) == whole

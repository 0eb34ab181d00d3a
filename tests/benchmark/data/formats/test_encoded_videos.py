"""avi, mp4 and mov files: exact where the codec is, complete, and never a way to other files."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from benchmark.data.formats import video
from benchmark.data.formats.video import VideoLength, count_video_frames, decode_video, read_frame
from benchmark.data.frame import UnreadableFrame
from benchmark.data.sources.folder import Folder

COUNT, HEIGHT, WIDTH = 9, 64, 96


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """Smooth frames that move and dim, uint8 F×H×W over all intensities."""
    noise = np.random.default_rng(0).random((HEIGHT, WIDTH))
    smooth = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 4), None, 0, 255, cv2.NORM_MINMAX)
    return np.stack([np.roll(smooth, 4 * k, axis=1) * (1 - 0.05 * k) for k in range(COUNT)]).astype(
        np.uint8
    )


def write(path: Path, frames: np.ndarray, codec: str = "FFV1") -> Path:
    """F×H×W grey or F×H×W×3 RGB frames, by OpenCV."""
    colour = frames.ndim == 4
    size = frames.shape[2], frames.shape[1]
    code = cv2.VideoWriter_fourcc(*codec)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, 15, size, colour)
    assert writer.isOpened(), codec
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]) if colour else frame)
    writer.release()
    return path


@pytest.fixture
def recorded(tmp_path: Path, frames: np.ndarray) -> Path:
    return write(tmp_path / "video.avi", frames)


def test_a_lossless_video_is_read_exactly(recorded, frames):
    assert count_video_frames(recorded) == VideoLength(COUNT, COUNT)
    decoded = decode_video(recorded)
    assert decoded.frames.dtype == np.uint8
    np.testing.assert_array_equal(decoded.frames, frames)
    assert decoded.notes == ()


def test_colour_becomes_luma_and_grey_stays(tmp_path, frames):
    colours = np.stack([frames, frames[:, ::-1], frames[:, :, ::-1]], axis=-1)
    decoded = decode_video(write(tmp_path / "c.avi", colours)).frames
    luma = [np.asarray(Image.fromarray(frame).convert("L")) for frame in colours]
    np.testing.assert_array_equal(decoded, luma)
    grey = write(tmp_path / "g.avi", np.repeat(frames[..., None], 3, axis=-1))
    np.testing.assert_array_equal(decode_video(grey).frames, frames)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.avi", "MJPG"), ("a.mp4", "mp4v"), ("a.mov", "mp4v"), ("a.m4v", "mp4v")]
)
def test_a_lossy_video_is_close(tmp_path, frames, name, codec):
    """No frame is stretched: black stays black, and what dims stays dim."""
    path = write(tmp_path / name, frames, codec)
    decoded = decode_video(path).frames.astype(float)
    assert decoded.shape == frames.shape
    errors = ((decoded - frames) ** 2).mean(axis=(1, 2))
    assert (10 * np.log10(255**2 / errors)).min() > 30  # dB
    np.testing.assert_allclose(decoded.mean(axis=(1, 2)), frames.mean(axis=(1, 2)), atol=2)


def test_a_single_frame_is_read_in_any_order(recorded, frames):
    for position in (5, 0, 8, 5):
        np.testing.assert_array_equal(
            read_frame(recorded, position, decode_video).frames, frames[position]
        )
    with pytest.raises(UnreadableFrame, match="file has no frame of this number"):
        read_frame(recorded, COUNT, decode_video)


def refused(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    reasons = set()
    for call in (count_video_frames, decode_video):
        with pytest.raises(UnreadableFrame) as error:
            call(path)
        reasons.add(str(error.value))
    (reason,) = reasons
    return reason


def test_what_is_no_video_is_refused(tmp_path, recorded, frames):
    """Playlists, which would name other files to read, are no videos whatever they are called."""
    path, content = tmp_path / "x.avi", recorded.read_bytes()
    assert refused(path, b"") == "empty file"
    no_video = "not an avi, mp4 or mov file"
    for text in (
        f"#EXTM3U\n#EXTINF:1,\n{recorded}\n",
        f"ffconcat version 1.0\nfile {recorded.name}\n",
        "\0" * 200,
        "RIFF",
    ):
        assert refused(path, text.encode()) == no_video
    damaged = "damaged video, or of an unknown codec"
    assert refused(path, content[:200]) == damaged
    assert refused(path, content[:12] + bytes(500)) == damaged
    assert refused(tmp_path / "x.mp4", b"\0\0\0\x18ftypisom" + bytes(100)) == damaged
    whole = write(tmp_path / "y.mp4", frames, "mp4v").read_bytes()
    assert refused(tmp_path / "x.mp4", whole[: len(whole) // 2]) == damaged
    with pytest.raises(UnreadableFrame, match="file missing"):
        count_video_frames(tmp_path / "none.avi")
    assert not [name for name in os.environ if name.startswith("OPENCV_FFMPEG")]


def test_libraries_print_nothing_about_damage(tmp_path, recorded):
    """In a process of its own: FFmpeg reads its log level once."""
    (tmp_path / "a.avi").write_bytes(recorded.read_bytes()[:200])
    (tmp_path / "b.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(100))
    (tmp_path / "c.avi").write_bytes(recorded.read_bytes()[:-500])
    program = (
        "import sys; from benchmark.data.sources.folder import Folder\n"
        "source = Folder(sys.argv[1]); frames = list(source.frames())\n"
        "source.read(frames[0]); print(len(frames), *sorted(source.report.counts.values()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True
    )
    frames, *skipped = map(int, done.stdout.split())
    assert frames >= COUNT + 1
    assert skipped == [1, 2, 2], "cut short; damaged; of unknown patients"
    assert done.stderr == ""


def test_hostile_sizes_are_refused(tmp_path, recorded, monkeypatch):
    """The sides that the header of the stream states decide how much a decoder allocates."""
    content = bytearray(recorded.read_bytes())
    place = content.index(b"strf") + 12
    assert struct.unpack_from("<ii", content, place) == (WIDTH, HEIGHT)
    struct.pack_into("<ii", content, place, 60_000, 60_000)
    reason = refused(tmp_path / "large.avi", bytes(content))
    assert reason in {"damaged video, or of an unknown codec", "video without frames"}
    monkeypatch.setattr(video, "MAX_VIDEO_BYTES", recorded.stat().st_size)
    assert recorded.stat().st_size < COUNT * HEIGHT * WIDTH
    assert refused(recorded, recorded.read_bytes()) == "video too large"
    monkeypatch.setattr(video, "MAX_VIDEO_BYTES", recorded.stat().st_size - 1)
    assert refused(recorded, recorded.read_bytes()) == "video too large"
    monkeypatch.undo()
    monkeypatch.setattr(video, "MAX_FRAMES", COUNT - 1)
    assert refused(recorded, recorded.read_bytes()) == "too many frames in one file"


def test_a_truncated_video_is_read_as_far_as_it_goes(tmp_path, recorded, frames):
    """Without the index at its end, and with a report of the rest."""
    content = recorded.read_bytes()
    folder = tmp_path / "cut"
    folder.mkdir()
    path = folder / "cut.avi"
    path.write_bytes(content[: 2 * len(content) // 3])
    length = count_video_frames(path)
    assert 2 <= length.frames < length.stated == COUNT
    np.testing.assert_array_equal(decode_video(path).frames, frames[: length.frames])
    source = Folder(folder)
    found = list(source.frames())
    assert [frame.path for frame in found] == [f"cut.avi#{n:05d}" for n in range(length.frames)]
    assert ("frames that cannot be decoded", "cut.avi") in source.report.items


def test_videos_lie_in_folders_among_other_files(tmp_path, frames):
    folder = tmp_path / "in"
    for patient in ("p1", "p2"):
        (folder / patient).mkdir(parents=True)
    write(folder / "p1" / "run.AVI", frames[:3])
    Image.fromarray(frames[5]).save(folder / "p2" / "still.png")
    source = Folder(folder)
    found = list(source.frames())
    assert [(frame.path, frame.group) for frame in found] == [
        *((f"p1/run.AVI#0000{n}", "folder/p1") for n in range(3)),
        ("p2/still.png", "folder/p2"),
    ]
    for frame, pixels in zip(found, (*frames[:3], frames[5])):
        np.testing.assert_array_equal(source.read(frame), pixels)
    assert not source.report.items

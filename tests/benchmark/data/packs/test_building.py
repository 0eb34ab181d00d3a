"""What a build writes beside the frames: index, manifest and report; and how frames are grouped."""

from __future__ import annotations

from raw_layouts import build_small
from video_source import VideoSource, build

from benchmark.data.frame import Frame
from benchmark.data.packs import building, decoding
from benchmark.data.packs.chunks import ChunkLog
from benchmark.files import sha256_json, write_json


def test_hashes_are_those_of_frames_pixels_and_parameters(tmp_path):
    pack = build(VideoSource(), tmp_path / "pack")
    parameters = pack.manifest["parameters"]
    frames = [
        [f.source, f.path, f.group, f.video, f.frame, f.split, f.annotation]
        for f in VideoSource().frames()
    ]
    assert pack.manifest["plan_hash"] == sha256_json({"frames": frames, "parameters": parameters})
    # thin and exclude are named only where they are used.
    assert set(parameters) == {"source", "options", "size", "resize", "splits", "limit"}
    resizing = {key: parameters[key] for key in ("size", "resize")}
    pixels = pack.index["sha256"].tolist()
    assert pack.corpus_hash == sha256_json({"pixels": pixels, "parameters": resizing})


def test_large_squares_make_small_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(building, "CHUNK_BYTES", 3 * 32 * 32)
    logs = []
    monkeypatch.setattr(
        building, "ChunkLog", lambda *args: logs.append(ChunkLog(*args)) or logs[-1]
    )
    for size, expected in ((8, [20]), (32, [3] * 6 + [2]), (64, [1] * 20)):
        build_small(tmp_path / str(size), size=size)
        assert [record.frames for record in logs[-1].records] == expected


def test_the_report_lists_every_path(tmp_path):
    pack = build(VideoSource(), tmp_path / "pack")
    walk = [f"drifting/{number // 24}/{number}.txt" for number in range(8, 72, 9)]
    damaged = [f"v{n // 12:05d}/{n % 12:02d}.png" for n in range(12, 72, 13)]
    expected = {
        "not a picture": {"count": len(walk), "paths": walk},
        "damaged image": {"count": len(damaged), "paths": damaged},
    }
    write_json(tmp_path / "expected.json", expected)
    written = (pack.path / "report.json").read_bytes()
    assert written == (tmp_path / "expected.json").read_bytes()
    assert pack.manifest["skipped"]["damaged image"] == {"count": 5, "examples": damaged}


def test_published_counts_of_any_kind_are_passed_on(tmp_path):
    class Joined(VideoSource):
        def frames(self):
            for number, frame in enumerate(super().frames()):
                yield Frame(f"centre{number % 3}", frame.path, frame.group, None, frame.frame)

    counts = build(Joined(), tmp_path / "pack").manifest["counts"]
    assert counts["expected"] == VideoSource.expected
    usable = [number for number in range(72) if number % 13 != 12]
    found = {f"centre{k}": sum(number % 3 == k for number in usable) for k in range(3)}
    assert counts["sources"] == found
    assert (counts["splits"], counts["groups"], counts["videos"]) == ({}, 3, 0)


def test_the_frames_of_a_file_stay_together():
    lengths = [3, 1, 1, 100, 5, 1, 1, 1, 1, 1, 20]
    frames = [
        Frame("videos", f"{file}.npz#{position:05d}" if length > 1 else f"{file}.png")
        for file, length in enumerate(lengths)
        for position in range(length)
    ]
    assert [len(batch) for batch in decoding._batches(frames[5:105], 1000)] == [64, 36]
    assert [len(batch) for batch in decoding._batches(frames[105:], 1000)] == [8, 22]
    assert [len(batch) for batch in decoding._batches(frames[5:], 20)] == [20] * 5 + [8, 2, 20]
    for most in (1, 7, 1000):
        batches = list(decoding._batches(frames, most))
        assert [frame for batch in batches for frame in batch] == frames
        assert max(map(len, batches)) <= min(most, 64 + 7)
        assert all(batches)

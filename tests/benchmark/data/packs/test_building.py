"""Building packs: hashes, reports, chunks, thinning and excluded groups."""

from __future__ import annotations

import pytest
from raw_layouts import PICTURES, Interruption, build_small, folder_bytes
from video_source import VideoSource, build

from benchmark.data.frame import Frame, UnreadableFrame
from benchmark.data.image_hashes import perceptual_hash
from benchmark.data.packs import build_pack, building, decoding
from benchmark.data.packs.chunks import ChunkLog
from benchmark.errors import InputError
from benchmark.files import sha256_json, write_json


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """All videos, without thinning; read-only."""
    return build(VideoSource(), tmp_path_factory.mktemp("plain") / "pack")


def test_hashes(pack):
    parameters = pack.manifest["parameters"]
    frames = [
        [f.source, f.path, f.group, f.video, f.frame, f.split, f.annotation]
        for f in VideoSource().frames()
    ]
    assert pack.manifest["plan_hash"] == sha256_json({"frames": frames, "parameters": parameters})
    # thin and exclude are recorded only if used.
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


def test_report_lists_every_path(pack, tmp_path):
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


def test_published_counts_are_recorded(tmp_path):
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


def test_frames_of_a_file_stay_in_one_batch():
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


def _kept_by_hand(source: VideoSource, bits: int) -> tuple[list[str], int]:
    """Paths that thinning should keep, and the number it should drop, by comparing bits."""
    kept, dropped, last = [], 0, {}
    for frame in source.frames():
        try:
            pixels = source.read(frame)
        except UnreadableFrame:
            continue
        word = f"{int(perceptual_hash(pixels), 16):064b}"
        if frame.video is not None:
            before = last.get(frame.video)
            if before is not None and sum(a != b for a, b in zip(word, before)) < bits:
                dropped += 1
                continue
            last[frame.video] = word
        kept.append(frame.path)
    return kept, dropped


@pytest.mark.parametrize("bits", [1, 8, 64])
def test_thinning_equals_a_plain_loop(tmp_path, bits):
    expected, dropped = _kept_by_hand(VideoSource(), bits)
    assert dropped > 0
    pack = build_pack(VideoSource(), tmp_path / "pack", 32, progress=False, thin=bits)
    assert pack.index["path"].tolist() == expected
    counts = pack.manifest["counts"]
    assert (counts["thinned"], counts["kept"]) == (dropped, len(expected))
    damaged = pack.manifest["skipped"]["damaged image"]["count"]
    assert counts["chosen"] == 72 == len(expected) + dropped + damaged
    assert pack.manifest["parameters"]["thin"] == bits


def test_thinning_is_deterministic(tmp_path):
    complete = build(VideoSource(), tmp_path / "complete", chunk=100, thin=6)
    build(VideoSource(), tmp_path / "workers", chunk=3, workers=2, thin=6)
    assert folder_bytes(tmp_path / "workers") == folder_bytes(complete.path)

    class Stopping(VideoSource):
        stop_at = 0

        def read(self, frame):
            if frame.path == self.stop_at:
                raise Interruption
            return super().read(frame)

    source = Stopping()
    for chunk, source.stop_at in ((1, "v00000/07.png"), (7, "v00002/10.png"), (4, "v00005/01.png")):
        with pytest.raises(Interruption):
            build(source, tmp_path / "pack", chunk=chunk, thin=6)
    build(VideoSource(), tmp_path / "pack", chunk=2, thin=6)
    assert folder_bytes(tmp_path / "pack") == folder_bytes(complete.path)


def test_thinned_frames_are_not_skips(tmp_path):
    good = [
        picture for picture in PICTURES if not isinstance(picture, str) and picture.shape[0] > 9
    ]
    pack = build_small(tmp_path / "single", good, thin=64, strict=True)
    assert len(pack) == 18, "frames without a video are never thinned"

    pack = build(VideoSource(2, defects=False), tmp_path / "pack", thin=8, strict=True)
    assert pack.manifest["skipped"] == {}
    assert pack.manifest["counts"]["thinned"] > 0
    assert (pack.path / "report.json").read_text(encoding="utf-8") == "{}\n"


def test_excluded_groups(tmp_path):
    exclude = ["drifting/2", "drifting/0"]
    pack = build(VideoSource(), tmp_path / "pack", exclude=exclude)
    assert set(pack.index["group"]) == {"drifting/1"}
    counts = pack.manifest["counts"]
    assert (counts["found"], counts["excluded"], counts["chosen"]) == (72, 48, 24)
    assert pack.manifest["parameters"]["exclude"] == ["drifting/0", "drifting/2"]
    assert "damaged image" in pack.manifest["skipped"]
    again = build_pack(
        VideoSource(), pack.path, 32, progress=False, exclude={*exclude, "drifting/0"}
    )
    assert again.manifest == pack.manifest
    for other in ({"exclude": exclude[:1]}, {"exclude": exclude, "thin": 1}, {}):
        with pytest.raises(InputError, match="other frames or parameters"):
            build(VideoSource(), pack.path, **other)

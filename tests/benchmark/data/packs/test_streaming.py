"""Packs of any length in bounded memory, and the account of all that was left out."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pyarrow.parquet as pq
import pytest
from raw_layouts import PICTURES, MemorySource, build_small, folder_bytes
from video_source import VideoSource, build

from benchmark.data.frame import Frame, SkipReport, UnreadableFrame
from benchmark.data.packs import building, indexing, survey, workers
from benchmark.data.selection import select_frames
from benchmark.files import sha256_json, write_json


class _Long:
    """A source of very many frames that cost next to nothing; every 10th is damaged."""

    name = "long"
    expected = {}
    split_note = "none"
    official_split = False
    options = {}

    def __init__(self, length: int) -> None:
        self.length = length
        self.report = SkipReport()

    def frames(self):
        self.report = SkipReport()
        for number in range(self.length):
            if number % 5 == 0:
                self.report.add("not a picture", f"folder{number // 100:06d}/note{number:09d}.txt")
            path = f"folder{number // 100:06d}/frame{number:09d}.png"
            yield Frame(self.name, path, f"long/{number // 1000}", f"long/{number // 100}", number)


def _cheap(source, frame, size):
    """Stands for `pack_frame`: what decoding takes is no question of the number of frames."""
    if frame.frame % 10 == 9:
        raise UnreadableFrame("damaged image")
    row = {"source": frame.source, "path": frame.path, "group": frame.group, "video": frame.video}
    row |= {"split": None, "sha256": f"{frame.frame:064x}", "phash": f"{frame.frame:016x}"}
    sizes = dict.fromkeys(("height", "width", "valid_height", "valid_width"), size)
    return row | {"frame": frame.frame} | sizes, np.full((size, size), frame.frame % 251, np.uint8)


def test_memory_does_not_grow_with_the_corpus(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "pack_frame", _cheap)
    monkeypatch.setattr(survey, "_SPOOL_BYTES", 1 << 18)
    monkeypatch.setattr(indexing, "ROW_GROUP", 1 << 10)
    # The pack that is returned holds its index in memory, which is no matter of building it.
    monkeypatch.setattr(building.FramePack, "open", lambda out: None)
    monkeypatch.setattr(building, "_finished", lambda pack, plan, strict: pack)

    def peak(length: int) -> int:
        tracemalloc.start()
        building.build_pack(_Long(length), tmp_path / str(length), 8, progress=False)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak(500)
    short, long = peak(2000), peak(8000)
    assert short < 16 << 20
    assert long < short + (1 << 20), "a frame more takes less than 175 bytes"
    manifest = json.loads((tmp_path / "8000" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["counts"]["kept"] == 7200
    report = json.loads((tmp_path / "8000" / "report.json").read_text(encoding="utf-8"))
    assert [report[reason]["count"] for reason in sorted(report)] == [800, 1600]
    assert len(set(report["not a picture"]["paths"])) == 1600


def test_hashes_are_those_of_the_lists(tmp_path):
    """The hashes made frame by frame against the same dictionaries as a whole."""
    pack = build(VideoSource(), tmp_path / "pack")
    manifest = pack.manifest
    plan = select_frames(VideoSource()).plan_hash(manifest["parameters"])
    assert manifest["plan_hash"] == plan
    frames = [
        [f.source, f.path, f.group, f.video, f.frame, f.split, f.annotation]
        for f in VideoSource().frames()
    ]
    assert plan == sha256_json({"frames": frames, "parameters": manifest["parameters"]})
    parameters = {key: manifest["parameters"][key] for key in ("size", "resize")}
    pixels = pack.index["sha256"].tolist()
    assert pack.corpus_hash == sha256_json({"pixels": pixels, "parameters": parameters})


@pytest.mark.parametrize("group", [1, 7, 66, 1000])
def test_the_index_is_the_same_in_any_number_of_pieces(tmp_path, monkeypatch, group):
    whole = build(VideoSource(), tmp_path / "whole", chunk=72)
    monkeypatch.setattr(indexing, "ROW_GROUP", group)
    pieces = build(VideoSource(), tmp_path / "pieces", chunk=5)
    assert pieces.index.equals(whole.index)
    with pq.ParquetFile(pieces.path / "index.parquet") as file:
        assert file.num_row_groups == -(-len(whole) // group)
    assert pieces.manifest == whole.manifest


def test_a_long_walk_is_kept_on_disk_and_gives_the_same(tmp_path, monkeypatch):
    whole = build(VideoSource(), tmp_path / "whole", thin=4)
    monkeypatch.setattr(survey, "_SPOOL_BYTES", 100)
    build(VideoSource(), tmp_path / "spooled", thin=4)
    assert folder_bytes(tmp_path / "spooled") == folder_bytes(whole.path)


def test_large_squares_make_small_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(building, "CHUNK_BYTES", 3 * 32 * 32)
    held = []
    real = building._build
    monkeypatch.setattr(
        building, "_build", lambda job, out: held.append(job.chunk) or real(job, out)
    )
    for size in (8, 32, 64):
        build_small(tmp_path / str(size), size=size)
    assert held == [48, 3, 1]


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


def test_a_pack_without_a_report_still_opens(tmp_path):
    pack = build_small(tmp_path / "pack")
    (pack.path / "report.json").unlink()
    source = MemorySource(PICTURES)
    again = building.build_pack(source, pack.path, 32, progress=False)
    assert (source.reads, len(again)) == (0, 18)


def test_the_frames_of_a_file_stay_together():
    lengths = [3, 1, 1, 100, 5, 1, 1, 1, 1, 1, 20]
    frames = [
        Frame("videos", f"{file}.npz#{position:05d}" if length > 1 else f"{file}.png")
        for file, length in enumerate(lengths)
        for position in range(length)
    ]
    chunks = list(building._chunks(iter(frames), 40))
    assert [frame for chunk in chunks for frame in chunk] == frames
    assert [len(chunk) for chunk in chunks] == [5, 40, 40, 30, 20]
    assert [len(batch) for batch in workers._batches(frames[5:105])] == [64, 36]
    assert [len(batch) for batch in workers._batches(frames[105:])] == [8, 22]
    assert [frame for batch in workers._batches(frames) for frame in batch] == frames

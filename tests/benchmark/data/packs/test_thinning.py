"""Dropping near-duplicates of a video, and complete groups."""

from __future__ import annotations

import pytest
from raw_layouts import PICTURES, Interruption, build_small, folder_bytes
from video_source import VideoSource, build

from benchmark.data.frame import UnreadableFrame
from benchmark.data.image_hashes import perceptual_hash
from benchmark.data.packs import build_pack
from benchmark.errors import InputError


def _kept_by_hand(source: VideoSource, bits: int) -> tuple[list[str], int]:
    """Paths that thinning should keep, each compared bit by bit, and how many it should drop."""
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
def test_thinning_keeps_what_a_plain_loop_keeps(tmp_path, bits):
    expected, dropped = _kept_by_hand(VideoSource(), bits)
    assert dropped > 0
    pack = build_pack(VideoSource(), tmp_path / "pack", 32, progress=False, thin=bits)
    assert pack.index["path"].tolist() == expected
    counts = pack.manifest["counts"]
    assert (counts["thinned"], counts["kept"]) == (dropped, len(expected))
    damaged = pack.manifest["skipped"]["damaged image"]["count"]
    assert counts["chosen"] == 72 == len(expected) + dropped + damaged
    assert pack.manifest["parameters"]["thin"] == bits


def test_thinning_does_not_depend_on_workers_chunks_or_interruptions(tmp_path):
    whole = build(VideoSource(), tmp_path / "whole", chunk=100, thin=6)
    build(VideoSource(), tmp_path / "workers", chunk=3, workers=2, thin=6)
    assert folder_bytes(tmp_path / "workers") == folder_bytes(whole.path)

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
    assert folder_bytes(tmp_path / "pack") == folder_bytes(whole.path)


def test_thinned_frames_are_no_defects(tmp_path):
    good = [
        picture for picture in PICTURES if not isinstance(picture, str) and picture.shape[0] > 9
    ]
    pack = build_small(tmp_path / "single", good, thin=64, strict=True)
    assert len(pack) == 18, "frames without a video are never thinned"

    pack = build(VideoSource(2, defects=False), tmp_path / "pack", thin=8, strict=True)
    assert pack.manifest["skipped"] == {}
    assert pack.manifest["counts"]["thinned"] > 0
    assert (pack.path / "report.json").read_text(encoding="utf-8") == "{}\n"


def test_excluded_groups_are_counted_and_part_of_the_plan(tmp_path):
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

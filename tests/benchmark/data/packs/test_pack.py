"""Packs: content, interrupted builds, and refusals."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections import namedtuple

import numpy as np
import pytest
from PIL import Image
from raw_layouts import (
    KEPT,
    PICTURES,
    SIZE,
    Interruption,
    MemorySource,
    build_small,
    folder_bytes,
    picture,
)

from benchmark.data import progress
from benchmark.data.image_hashes import perceptual_hash, pixel_sha256
from benchmark.data.packs import FramePack, build_pack, building, open_packs
from benchmark.errors import InputError


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """Built without interruption; read-only."""
    return build_small(tmp_path_factory.mktemp("complete") / "pack")


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(building, "CHUNK", 4)


def interrupted(out, stop_at=9, **options):
    with pytest.raises(Interruption):
        build_small(out, stop_at=stop_at, **options)


def test_frames_equal_pil_and_keep_their_aspect(pack):
    assert (len(pack), pack.size, pack.frames.shape) == (18, SIZE, (18, SIZE, SIZE))
    assert pack.anatomy is None
    for row, number in enumerate(KEPT):
        assert abs(pack.valid[row, 1] - (48 - number) * SIZE / 48) <= 0.5
        assert pack.valid[row, 0] == SIZE
        resized = Image.fromarray(PICTURES[number]).resize(
            (pack.valid[row, 1], SIZE), Image.Resampling.BICUBIC
        )
        np.testing.assert_array_equal(pack.frames[row, :, : resized.width], np.asarray(resized))
        assert not pack.frames[row, :, resized.width :].any()


def test_frame_of_native_size_is_not_resampled(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (24, SIZE), dtype=np.uint8)
    pack = build_small(tmp_path / "pack", [noise])
    np.testing.assert_array_equal(pack.frames[0, :24], noise)
    assert not pack.frames[0, 24:].any()
    assert pack.valid.tolist() == [[24, SIZE]]


def test_index_and_manifest(pack, tmp_path):
    row = pack.index.iloc[4]
    assert (row.source, row.path, row.group, row.split) == ("memory", "005.png", "memory/2", "test")
    assert (row.height, row.width, row.valid_height, row.valid_width) == (48, 43, 32, 29)
    assert row.sha256 == pixel_sha256(PICTURES[5])
    assert row.phash == perceptual_hash(PICTURES[5])
    assert pack.index[["frame", "video"]].isna().all(axis=None)
    counts = pack.manifest["counts"]
    assert (counts["found"], counts["chosen"], counts["kept"]) == (20, 20, 18)
    assert counts["splits"] == {"train": 13, "test": 5}
    assert (counts["groups"], counts["expected"]) == (3, {"frames": 1000})
    assert pack.manifest["skipped"] == {
        "constant image": {"count": 1, "examples": ["011.png"]},
        "damaged image": {"count": 1, "examples": ["003.png"]},
    }
    many = build_small(tmp_path / "pack", ["damaged image"] * 30 + [picture(1)])
    entry = many.manifest["skipped"]["damaged image"]
    assert (entry["count"], len(entry["examples"])) == (30, 20)


def test_splits_and_limit(tmp_path):
    pack = build_small(tmp_path / "test", splits=["test"])
    assert set(pack.index["split"]) == {"test"}
    assert pack.manifest["counts"]["chosen"] == 6
    limited = build_small(tmp_path / "limited", splits=["train"], limit=3)
    assert limited.index["path"].tolist() == ["000.png", "001.png"], "the third is damaged"
    with pytest.raises(InputError, match="no split 'val'; splits found: test, train"):
        build_small(tmp_path / "val", splits=["val"])


def test_corpus_hash_depends_on_pixels_and_size_only(pack, tmp_path):
    assert build_small(tmp_path / "b").corpus_hash == pack.corpus_hash
    changed = list(PICTURES)
    changed[19] = changed[19].copy()
    changed[19][0, 0] ^= 1
    assert build_small(tmp_path / "c", changed).corpus_hash != pack.corpus_hash
    assert build_small(tmp_path / "d", size=40).corpus_hash != pack.corpus_hash
    assert build_small(tmp_path / "e", PICTURES[::-1]).corpus_hash != pack.corpus_hash


@pytest.mark.parametrize("workers", [0, 2])
def test_interruptions_change_no_byte(pack, tmp_path, workers):
    for stop_at in (0, 6, 13, 19):
        interrupted(tmp_path / "pack", stop_at, workers=workers)
        assert [path.name for path in tmp_path.iterdir()] == ["pack.partial"]
    source = MemorySource(PICTURES)
    build_pack(source, tmp_path / "pack", SIZE, progress=False)
    assert source.reads == 4, "only the last chunk was left to do"
    assert folder_bytes(tmp_path / "pack") == folder_bytes(pack.path)
    assert [path.name for path in tmp_path.iterdir()] == ["pack"]


def test_torn_write_is_truncated(pack, tmp_path):
    interrupted(tmp_path / "pack")
    with open(tmp_path / "pack.partial" / "frames.u8", "ab") as stream:
        stream.write(b"torn")
    build_small(tmp_path / "pack")
    assert folder_bytes(tmp_path / "pack") == folder_bytes(pack.path)
    interrupted(tmp_path / "short")
    (tmp_path / "short.partial" / "frames.u8").write_bytes(b"")
    with pytest.raises(InputError, match=r"frames\.u8: too short"):
        build_small(tmp_path / "short")


def test_finished_pack_is_reused_and_another_plan_refused(tmp_path):
    build_small(tmp_path / "pack")
    (tmp_path / "pack" / "report.json").unlink()  # not needed to open a pack
    source = MemorySource(PICTURES)
    assert len(build_pack(source, tmp_path / "pack", SIZE, progress=False)) == 18
    assert source.reads == 0
    for other in ({"size": 40}, {"limit": 5}, {"pictures": PICTURES[:9]}):
        with pytest.raises(InputError, match="other frames or parameters"):
            build_small(tmp_path / "pack", **other)
    interrupted(tmp_path / "begun")
    with pytest.raises(InputError, match=r"begun\.partial: was started with other frames"):
        build_small(tmp_path / "begun", size=40)


def test_strict_accepts_repaired_frames(pack, tmp_path):
    with pytest.raises(InputError, match=r"1 skipped \(damaged image: 1\), the first is 003"):
        build_small(tmp_path / "pack", strict=True)
    assert not (tmp_path / "pack").exists()
    interrupted(tmp_path / "pack")
    repaired = list(PICTURES)
    repaired[3], repaired[11] = picture(3), picture(11)
    assert len(build_small(tmp_path / "pack", repaired, strict=True)) == 20
    with pytest.raises(InputError, match="strict, but frames were skipped"):
        build_small(pack.path, strict=True)


def test_no_usable_frame_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match=r"no usable frame \(damaged image: 3\)"):
        build_small(tmp_path / "pack", ["damaged image"] * 3)
    with pytest.raises(InputError, match="no usable frame"):
        build_small(tmp_path / "pack", [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 30}, "multiple of 8"),
        ({"workers": -1}, "workers -1"),
        ({"limit": 0}, "limit 0"),
        ({"thin": -1}, "thin -1: must be from 0 to 64"),
        ({"thin": 65}, "thin 65: must be from 0 to 64"),
        ({}, r"needs 0\.0 GB more"),
    ],
)
def test_bad_arguments(tmp_path, monkeypatch, options, message):
    monkeypatch.setattr(building.shutil, "disk_usage", lambda path: namedtuple("_", "free")(100))
    with pytest.raises(InputError, match=message):
        build_small(tmp_path / "pack", **options)


def test_foreign_folder_is_kept(tmp_path):
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(InputError, match="not a pack, and not empty; choose another"):
        build_small(tmp_path)


def test_second_process_is_refused(tmp_path):
    code = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX);"
    code += "print('held', flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code, tmp_path / ".pack.lock"], **pipes) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match="pack: is being written by another process"):
            build_small(tmp_path / "pack")
        other.communicate()
    build_small(tmp_path / "pack")


def test_open_says_what_is_wrong(tmp_path):
    path = tmp_path / "pack"

    def refused(message, folder=path):
        with pytest.raises(InputError, match=message):
            FramePack.open(folder)

    refused("no such folder")
    interrupted(path)
    refused(r"unfinished; run tools/prepare_data\.py again")
    refused(r"not a pack \(manifest\.json is missing\)", tmp_path)
    pack = build_small(path)
    with open(path / "frames.u8", "r+b") as stream:
        stream.truncate(18 * SIZE * SIZE - 1)
    refused("18431 bytes, but 18 frames in the index need 18432")
    pack.index.iloc[:0].to_parquet(path / "index.parquet")
    refused("empty pack")
    pack.index.drop(columns="video").to_parquet(path / "index.parquet")
    refused(r"index\.parquet: no column 'video'; make it again")
    (path / "index.parquet").write_bytes(b"no table")
    refused(r"index\.parquet: cannot be read")
    (path / "manifest.json").write_text('{"schema": "angiogram-pack/0"}')
    refused("key 'schema' must be 'angiogram-pack/1'")


def test_gather_over_packs_equals_direct_reading(pack, tmp_path):
    first, second = pack, build_small(tmp_path / "b", PICTURES[4:9])
    both = open_packs([first.path, second.path])
    assert (len(both), both.size, both.has_anatomy) == (23, SIZE, False)
    order = np.random.default_rng(0).integers(0, 23, 50)
    frames, bits, valid = both.gather(order)
    stacked = np.concatenate([first.frames, second.frames])
    np.testing.assert_array_equal(frames, stacked[order])
    np.testing.assert_array_equal(valid, np.concatenate([first.valid, second.valid])[order])
    assert (bits, frames.dtype, valid.dtype) == (None, np.uint8, np.int64)
    assert type(frames) is np.ndarray
    assert frames.flags.writeable
    assert both.index["path"].tolist()[18:] == [f"{number:03d}.png" for number in range(5)]
    assert both.corpus_hash not in (first.corpus_hash, second.corpus_hash)
    assert both.corpus_hash != open_packs([second.path, first.path]).corpus_hash
    assert open_packs([first.path]).corpus_hash == first.corpus_hash
    assert len(both.gather([])[0]) == 0
    for index in (-1, 23):
        with pytest.raises(IndexError):
            both.gather([index])


def test_frames_are_read_only_and_a_pack_pickles_by_its_path(pack):
    with pytest.raises(ValueError, match="read-only"):
        pack.frames[0, 0, 0] = 1
    sent = pickle.dumps(pack)
    assert len(sent) < 500
    np.testing.assert_array_equal(pickle.loads(sent).gather([5])[0], pack.gather([5])[0])


def test_packs_of_different_sizes_are_refused(pack, tmp_path):
    build_small(tmp_path / "b", size=40)
    with pytest.raises(InputError, match="different size"):
        open_packs([pack.path, tmp_path / "b"])
    with pytest.raises(InputError, match="no pack"):
        open_packs([])


def test_progress_in_a_log_file_is_plain_lines(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0)
    build_pack(MemorySource(PICTURES), tmp_path / "pack", SIZE)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    assert lines[-1].startswith("pack memory: 20 of 20, ")

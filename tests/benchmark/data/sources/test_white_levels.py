"""One white for each video or file set, whoever reads it, and told in the report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from high_bit_depth_files import png_bytes
from PIL import Image
from raw_layouts import save

from benchmark.data.counts import format_rows
from benchmark.data.formats.bit_depth import NARROW_RANGE, WHITE_FROM_MAXIMUM
from benchmark.data.packs import FramePack, build_pack
from benchmark.data.skips import take_notes
from benchmark.data.sources import open_source
from benchmark.data.synthetic.raw.containers import npz_bytes
from benchmark.data.tasks import write_task_folder
from benchmark.errors import InputError

SIDE = 32
RAMP = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)


def _values(highest: int) -> np.ndarray:
    """A ramp up to `highest`, which starts elsewhere for each: no two images are alike."""
    return (np.roll(RAMP, highest) * highest // RAMP.max()).astype(np.uint16)


def _save(path: Path, highest: int, significant: int | None = None) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = _values(highest)
    path.write_bytes(png_bytes(values, significant))
    return values


def _gray(highest: int, white: int) -> np.ndarray:
    return np.floor(_values(highest) / white * 255 + 0.5).astype(np.uint8)


def test_images_of_a_folder_share_one_white_level(tmp_path):
    for number, highest in enumerate((4000, 4090, 4300, 16000)):
        _save(tmp_path / "p1" / f"{number}.png", highest)
    for number, highest in enumerate((500, 1000)):
        _save(tmp_path / "p2" / f"{number}.png", highest)
    source = open_source("folder", tmp_path)
    for frame, highest in zip(source.frames(), (4000, 4090, 4300, 16000, 500, 1000)):
        white = 16383 if "p1" in frame.path else 1023
        np.testing.assert_array_equal(source.read(frame), _gray(highest, white))
    assert take_notes(source) == [
        (WHITE_FROM_MAXIMUM, "p1: 16383 (14 bits)"),
        (NARROW_RANGE, "p1/0.png"),
        (WHITE_FROM_MAXIMUM, "p2: 1023 (10 bits)"),
    ]
    assert take_notes(source) == []


def test_single_images_in_their_folders_form_one_set(tmp_path):
    """Else white would be decided image by image."""
    for patient, highest in enumerate((900, 2000, 4000)):
        _save(tmp_path / f"p{patient}" / "study" / "a.png", highest)

    def brightest() -> dict[str, int]:
        source = open_source("folder", tmp_path)
        return {frame.path: int(source.read(frame).max()) for frame in source.frames()}

    assert list(brightest().values()) == [round(h / 4095 * 255) for h in (900, 2000, 4000)]
    # One level down lies what is nearest.
    _save(tmp_path / "p0" / "other" / "b.png", 1000)
    found = brightest()
    assert [found[f"p0/{name}.png"] for name in ("other/b", "study/a")] == [249, 224]


def test_training_and_test_images_share_one_white_level(tmp_path):
    mask = np.where(RAMP[::-1] > 700, 255, 0).astype(np.uint8)
    for split, highest in (("train", 1000), ("test", 4000)):
        for number in range(2):
            _save(tmp_path / split / "images" / f"{split}{number}.png", highest - number)
            save(tmp_path / split / "masks" / f"{split}{number}.png", mask)
        # A mask of 16 bits is none of the set.
        deep = png_bytes(mask.astype(np.uint16) * 257)
        (tmp_path / split / "masks" / f"{split}0.png").write_bytes(deep)
    source = open_source("paired", tmp_path)
    folder = write_task_folder(source, tmp_path / "task", progress=False)
    with Image.open(folder.image("train", "train__images__train0")) as image:
        np.testing.assert_array_equal(np.asarray(image), _gray(1000, 4095))
    examples = ["all images: 4095 (12 bits)"]
    intensity = folder.manifest["intensity"]
    assert intensity[WHITE_FROM_MAXIMUM] == {"count": 1, "examples": examples}
    report = json.loads((folder.path / "report.json").read_text())
    assert report[WHITE_FROM_MAXIMUM]["paths"] == examples
    assert report[NARROW_RANGE]["count"] == 2
    assert "intensity, white level from the maximum value" in "\n".join(
        format_rows(folder.manifest)
    )


def test_stated_and_unstated_depths_are_not_mixed(tmp_path):
    _save(tmp_path / "a.png", 600, significant=12)
    _save(tmp_path / "b.png", 700)
    _save(tmp_path / "c.png", 60000, significant=16)
    Image.fromarray(_values(255).astype(np.uint8)).save(tmp_path / "d.png")
    (tmp_path / "damaged.png").write_bytes(png_bytes(_values(60000))[:-40])
    source = open_source("folder", tmp_path)
    brightest = [int(source.read(frame).max()) for frame in list(source.frames())[:4]]
    shares = (600 / 4095, 700 / 1023, 60000 / 65535, 1)
    assert brightest == [round(share * 255) for share in shares]
    assert {where for reason, where in source.notes if reason == WHITE_FROM_MAXIMUM} == {
        "all images: 4095 (12 bits)",
        "all images: 1023 (10 bits)",
    }


def _files(pack: FramePack) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(pack.path.iterdir()) if path.is_file()}


def test_a_pack_depends_on_neither_workers_nor_interruptions(tmp_path, monkeypatch):
    raw = tmp_path / "raw"
    for patient, top in ((1, 900), (2, 3000), (3, 9000)):
        for number in range(8):
            _save(raw / f"p{patient}" / f"{number}.png", top + 37 * number)
    deep = np.stack([_values(h) for h in (100, 3000)])
    (raw / "p1" / "run.npz").write_bytes(npz_bytes(pixel_array=deep))
    monkeypatch.setattr("benchmark.data.packs.building.CHUNK", 5)

    def build(name: str, source=None, **options) -> FramePack:
        source = source or open_source("folder", raw)
        return build_pack(source, tmp_path / name, SIDE, progress=False, **options)

    plain = build("plain")
    assert plain.manifest["intensity"][WHITE_FROM_MAXIMUM] == {
        "count": 4,
        "examples": [
            "p1: 4095 (12 bits)",
            "p1/run.npz: 4095 (12 bits)",
            "p2: 4095 (12 bits)",
            "p3: 16383 (14 bits)",
        ],
    }
    assert build("plain", strict=False).manifest == plain.manifest
    # White is that of the set, whatever part of it is wanted.
    few = build("few", limit=3)
    np.testing.assert_array_equal(few.gather([0, 1, 2])[0], plain.gather([0, 1, 2])[0])
    for workers in (0, 2):
        assert _files(build(f"parallel{workers}", workers=workers)) == _files(plain)
        for last in ("p1/6.png", "p2/4.png", "p3/3.png"):
            source = open_source("folder", raw)

            def stopping(frame, read=source.read, last=last):
                if frame.path == last:
                    raise InputError("stopped")
                return read(frame)

            monkeypatch.setattr(source, "read", stopping)
            with pytest.raises(InputError, match="stopped"):
                build(f"stopped{workers}", source, workers=workers)
        assert _files(build(f"stopped{workers}", workers=workers)) == _files(plain)


def test_eight_bits_need_no_note(tmp_path):
    for number in range(2):
        Image.fromarray(_values(200 + number).astype(np.uint8)).save(tmp_path / f"{number}.png")
    source = open_source("folder", tmp_path, group="none")
    pack = build_pack(source, tmp_path / "pack", SIDE, progress=False)
    assert "intensity" not in pack.manifest
    assert (pack.path / "report.json").read_text() == "{}\n"


def test_notes_of_xa170k_name_the_part(tmp_path):
    for number, highest in enumerate((300, 4000)):
        _save(tmp_path / "cadica" / "p1" / f"p1_v1_0000{number}.png", highest)
    source = open_source("xa170k", tmp_path)
    pack = build_pack(source, tmp_path / "pack", SIDE, progress=False, workers=2)
    assert pack.manifest["intensity"][WHITE_FROM_MAXIMUM]["examples"] == [
        "cadica/p1: 4095 (12 bits)"
    ]
    np.testing.assert_array_equal(pack.gather([0])[0][0], _gray(300, 4095))

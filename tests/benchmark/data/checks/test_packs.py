"""Checking packs: a whole one is clean, and every planted defect is named and counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from checked_source import Pictures, check, edit_manifest, reasons
from raw_layouts import picture

from benchmark.data.frame import Frame
from benchmark.data.packs import add_anatomy, build_pack
from benchmark.files import read_json, sha256_file, sha256_json


def _anatomy(frames: np.ndarray, valid: np.ndarray) -> np.ndarray:
    masks = frames < 110
    masks[0] = False
    return masks


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """Six frames, not resized, the first without a vessel."""
    build_pack(Pictures(), tmp_path / "pack", size=48, progress=False)
    add_anatomy(tmp_path / "pack", _anatomy, {"kind": "test"}, batch=6, progress=False)
    return tmp_path / "pack"


def _edit_frames(pack: Path, row: int, change: Callable[[np.ndarray], None]) -> None:
    frames = np.memmap(pack / "frames.u8", np.uint8, "r+", shape=(6, 48, 48))
    change(frames[row])
    frames.flush()


def _edit_index(pack: Path, column: str, row: int, value: Any) -> None:
    index = pd.read_parquet(pack / "index.parquet")
    index.loc[row, column] = value
    index.to_parquet(pack / "index.parquet")


def test_a_complete_pack_is_clean(pack):
    found = check(pack)
    assert (found.errors, found.warnings) == ([], [])
    assert found.counts == {
        "frames": 6,
        "  test": 2,
        "  train": 4,
        "groups": 3,
        "frames without a group": 0,
        "frames compared with their hash": 6,
        "empty vessel masks": 1,
    }
    assert found.summary() == {
        "path": str(pack),
        "kind": "pack",
        "identity": read_json(pack / "manifest.json")["corpus_hash"],
        "counts": found.counts,
        "errors": {},
        "warnings": {},
    }


@pytest.mark.parametrize(
    ("value", "warnings"),
    [
        (False, [("no frame has a vessel mask", "pack: empty vessel masks 6")]),
        (
            True,
            [("vessel mask: more than half of the frame", f"pictures/{n}.png") for n in range(6)],
        ),
    ],
)
def test_implausible_vessel_masks_are_a_warning(tmp_path, value, warnings):
    def anatomy(frames: np.ndarray, valid: np.ndarray) -> np.ndarray:
        masks = np.zeros(frames.shape, bool)
        for mask, (height, width) in zip(masks, valid):
            mask[:height, :width] = value
        return masks

    build_pack(Pictures(), tmp_path / "pack", size=48, progress=False)
    add_anatomy(tmp_path / "pack", anatomy, {"kind": "test"}, progress=False)
    found = check(tmp_path / "pack")
    assert (found.errors, found.warnings) == ([], warnings)


def test_resized_frames_have_no_pixels_to_compare(tmp_path):
    build_pack(Pictures(), tmp_path / "pack", size=32, progress=False)
    found = check(tmp_path / "pack")
    assert (found.errors, found.warnings) == ([], [])
    assert "frames compared with their hash" not in found.counts
    assert found.counts["frames without a vessel mask"] == 6


def _erase(frame: np.ndarray) -> None:
    frame[:] = 0


def _one_pixel(frame: np.ndarray) -> None:
    frame[7, 7] ^= 1


def _below(frame: np.ndarray) -> None:
    frame[40, 5] = 9


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda p: _edit_frames(p, 2, _one_pixel), {"pixels differ from their hash": 1}),
        (
            lambda p: _edit_frames(p, 3, _erase),
            {"pixels differ from their hash": 1, "constant frame": 1},
        ),
        (lambda p: _edit_frames(p, 5, _below), {"pixels outside the valid area": 1}),
        (lambda p: _edit_index(p, "valid_width", 1, 49), {"valid area outside the square": 1}),
        (
            lambda p: _edit_index(p, "height", 1, 30),
            {"valid area does not match the native size": 1},
        ),
        (
            lambda p: _edit_index(p, "sha256", 4, "0" * 64),
            {"pixels differ from their hash": 1, "corpus hash does not match the index": 1},
        ),
        (lambda p: _edit_index(p, "path", 4, "0.png"), {"duplicate entry": 1}),
        (
            lambda p: edit_manifest(p, lambda m: m["counts"].update(kept=7)),
            {"number of frames does not match the index": 1},
        ),
        (
            lambda p: edit_manifest(p, lambda m: m["anatomy"].update(sha256="0")),
            {"vessel masks differ from their hash": 1},
        ),
    ],
)
def test_damage_to_a_pack_is_named(pack, damage, expected):
    damage(pack)
    assert reasons(check(pack)) == expected


def test_vessels_outside_the_valid_area(pack):
    bits = np.memmap(pack / "anatomy.u1", np.uint8, "r+", shape=(6, 48, 6))
    bits[4, 44] = 255
    bits.flush()
    digest = sha256_file(pack / "anatomy.u1")
    edit_manifest(pack, lambda manifest: manifest["anatomy"].update(sha256=digest))
    found = check(pack)
    assert found.errors == [("vessel mask outside the valid area", "pictures/4.png")]


def test_equal_images_and_foreign_files_are_warnings_in_a_pack(tmp_path):
    class Twice(Pictures):
        def read(self, frame: Frame) -> np.ndarray:
            return picture({"1": 0, "4": 3}.get(frame.path[0], int(frame.path[0])), 40, 48)

    build_pack(Twice(splits="aaaaab"), tmp_path / "pack", size=48, progress=False)
    (tmp_path / "pack" / "notes").mkdir()
    (tmp_path / "pack" / "notes" / "a.txt").touch()
    (tmp_path / "pack" / "leakage" / "c0de").mkdir(parents=True)
    (tmp_path / "pack" / "leakage" / "c0de" / "report.json").touch()
    found = check(tmp_path / "pack")
    assert found.errors == []
    assert found.warnings == [
        ("duplicate image", "pictures/1.png = pictures/0.png"),
        ("duplicate image", "pictures/4.png = pictures/3.png"),
        ("group in two splits", "pictures/2 (test, train)"),
        ("unlisted file", "notes/a.txt"),
    ]


def test_the_corpus_hash_is_that_of_the_index(pack):
    """Recomputed here from the columns alone."""
    manifest, index = read_json(pack / "manifest.json"), pd.read_parquet(pack / "index.parquet")
    parameters = {key: manifest["parameters"][key] for key in ("size", "resize")}
    expected = sha256_json({"pixels": index["sha256"].tolist(), "parameters": parameters})
    assert check(pack).identity == expected

"""Checking packs: a complete one is clean, and every planted defect is named and counted."""

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
from benchmark.files import read_json, sha256_file


def make_pack(path: Path, masks: Callable[[np.ndarray], np.ndarray] | None = None) -> Path:
    """Six frames, not resized, and their vessel masks."""
    build_pack(Pictures(), path, size=48, progress=False)
    if masks is not None:
        add_anatomy(path, lambda frames, valid: masks(frames), {}, batch=6, progress=False)
    return path


@pytest.fixture
def pack(tmp_path):
    """A pack whose first frame shows no vessel."""
    some = np.arange(6)[:, None, None] > 0
    return make_pack(tmp_path / "pack", lambda frames: (frames < 110) & some)


def _edit(pack: Path, row: int, place: Any, value: int, name: str = "frames.u8") -> None:
    content = np.memmap(pack / name, np.uint8, "r+").reshape(6, 48, -1)
    content[row][place] = value
    content.flush()


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
    ("masks", "warnings"),
    [
        (
            lambda frames: frames > 255,
            [("no frame has a vessel mask", "pack: empty vessel masks 6")],
        ),
        (
            lambda frames: frames >= 0,
            [("vessel mask: more than half of the frame", f"pictures/{n}.png") for n in range(6)],
        ),
    ],
)
def test_implausible_vessel_masks_are_a_warning(tmp_path, masks, warnings):
    found = check(make_pack(tmp_path / "pack", masks))
    assert (found.errors, found.warnings) == ([], warnings)


def test_hashes_of_resized_frames_are_not_compared(tmp_path):
    build_pack(Pictures(), tmp_path / "pack", size=32, progress=False)
    found = check(tmp_path / "pack")
    assert (found.errors, found.warnings) == ([], [])
    assert "frames compared with their hash" not in found.counts
    assert found.counts["frames without a vessel mask"] == 6


HASH, CORPUS = "pixels differ from their hash", "corpus hash does not match the index"


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda p: _edit(p, 2, (7, 7), 1), [HASH]),
        (lambda p: _edit(p, 3, ..., 0), [HASH, "constant frame"]),
        (lambda p: _edit(p, 5, (40, 5), 9), ["pixels outside the valid area"]),
        (lambda p: _edit_index(p, "valid_width", 1, 49), ["valid area outside the square"]),
        (lambda p: _edit_index(p, "height", 1, 30), ["valid area does not match the native size"]),
        (lambda p: _edit_index(p, "sha256", 4, "0" * 64), [HASH, CORPUS]),
        (lambda p: _edit_index(p, "path", 4, "0.png"), ["duplicate entry"]),
        (
            lambda p: edit_manifest(p, lambda m: m["counts"].update(kept=7)),
            ["number of frames does not match the index"],
        ),
        (
            lambda p: edit_manifest(p, lambda m: m["anatomy"].update(sha256="0")),
            ["vessel masks differ from their hash"],
        ),
    ],
)
def test_damage_to_a_pack_is_named(pack, damage, expected):
    damage(pack)
    assert reasons(check(pack)) == dict.fromkeys(expected, 1)


def test_vessels_outside_the_valid_area(pack):
    _edit(pack, 4, 44, 255, "anatomy.u1")
    digest = sha256_file(pack / "anatomy.u1")
    edit_manifest(pack, lambda manifest: manifest["anatomy"].update(sha256=digest))
    found = check(pack)
    assert found.errors == [("vessel mask outside the valid area", "pictures/4.png")]


def test_duplicates_and_foreign_files_are_warnings(tmp_path):
    class Twice(Pictures):
        def read(self, frame: Frame) -> np.ndarray:
            return picture({"1": 0, "4": 3}.get(frame.path[0], int(frame.path[0])), 40, 48)

    build_pack(Twice(splits="aaaaab"), tmp_path / "pack", size=48, progress=False)
    for name in ("notes/a.txt", "leakage/c0de/report.json"):
        (tmp_path / "pack" / name).parent.mkdir(parents=True)
        (tmp_path / "pack" / name).touch()
    found = check(tmp_path / "pack")
    assert found.errors == []
    assert found.warnings == [
        ("duplicate image", "pictures/1.png = pictures/0.png"),
        ("duplicate image", "pictures/4.png = pictures/3.png"),
        ("group in two splits", "pictures/2 (test, train)"),
        ("unlisted file", "notes/a.txt"),
    ]

"""Leakage: planted test frames in the pre-training packs are found, and nothing else."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from checked_source import Pictures
from PIL import Image

from benchmark.data.checks import leakage
from benchmark.data.checks.leakage import (
    check_leakage,
    find_leakage_report,
    has_leakage,
    open_held_out,
    report_folder,
    write_leakage_report,
)
from benchmark.data.frame import Frame
from benchmark.data.packs import FramePack, PackCollection, build_pack
from benchmark.data.synthetic import angiogram
from benchmark.data.tasks import TaskFolder, write_task_folder
from benchmark.errors import InputError
from benchmark.files import sha256_json

Row = tuple[str, str | None, str | None, np.ndarray]


class Rows(Pictures):
    """A source of (path, group, split, pixels) in memory; every frame is annotated."""

    def __init__(self, name: str, rows: list[Row]) -> None:
        super().__init__()
        self.name = self.task = name
        self.rows = {path: row for path, *row in rows}

    def frames(self) -> Iterator[Frame]:
        for path, (group, split, _) in self.rows.items():
            yield Frame(self.name, path, group, group, 0, split, f"{path}.mask")

    def read(self, frame: Frame) -> np.ndarray:
        return self.rows[frame.path][2]

    def read_masks(self, frame: Frame) -> np.ndarray:
        return self.read(frame)[None] < 90

    def read_boxes(self, frame: Frame) -> np.ndarray:
        return np.array([[1, 2, 11, 22, 0]], dtype=np.float64)


@pytest.fixture(scope="module")
def scenes():
    """Frames of ten patients, uint8, 96×96."""
    return [angiogram(3, patient, 0, 6, size=96).image for patient in range(10)]


def disguised(pixels: np.ndarray) -> np.ndarray:
    """Darker, mirrored, smaller and JPEG-compressed."""
    gray = (255 * (pixels[:, ::-1] / 255) ** 1.4).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(gray).resize((72, 72)).save(stream, "JPEG", quality=60)
    return np.asarray(Image.open(stream))


@pytest.fixture(scope="module")
def task(tmp_path_factory, scenes):
    """Test: scenes 0–3 of patients a, a, b, c; val: scene 4 of d; train: scene 5 of e."""
    names = (("0", "a", "test"), ("1", "a", "test"), ("2", "b", "test"), ("3", "c", "test"))
    names = (*names, ("4", "d", "val"), ("5", "e", "train"))
    rows = [(f"{n}.png", f"set/{g}", split, scenes[int(n)]) for n, g, split in names]
    out = tmp_path_factory.mktemp("task") / "vessels"
    return write_task_folder(Rows("vessels", rows), out, "segmentation", progress=False)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, scenes):
    """Two packs at 64²: scene 0, scene 2 disguised, the train frame, a test patient, others."""
    first = [
        ("same.png", None, None, scenes[0]),
        ("other.png", "set/z", None, scenes[6]),
        ("disguised.png", "set/y", None, disguised(scenes[2])),
    ]
    second = [
        ("patient.png", "set/c", None, scenes[7]),
        ("train.png", "set/e", None, scenes[5]),
        ("stranger.png", None, None, scenes[8]),
    ]
    folder = tmp_path_factory.mktemp("corpus")
    return PackCollection([pack_of(folder / "one", first), pack_of(folder / "two", second)])


def pack_of(out: Path, rows: list[Row], size: int = 64) -> FramePack:
    return build_pack(Rows(out.name, rows), out, size=size, progress=False)


def compare(packs: PackCollection, *folders: Path) -> list[dict]:
    return check_leakage(packs, [open_held_out(folder) for folder in folders], progress=False)


@pytest.fixture(scope="module")
def report(corpus, task):
    return compare(corpus, task.path)[0]


def test_planted_leakage_is_found_and_nothing_else(report, corpus, task):
    assert report["counts"] == {
        "exact": 1,
        "similar": 1,
        "groups": 1,
        "exact_pairs": 1,
        "similar_pairs": 1,
        "listed_pairs": 2,
    }
    assert has_leakage(report)
    exact, similar = report["pairs"]
    assert (exact["kind"], exact["score"], exact["flip"]) == ("exact", 1.0, "none")
    assert exact["pretrain"] == {"row": 0, "source": "one", "path": "same.png", "group": None}
    assert (exact["test"]["split"], exact["test"]["path"]) == ("test", "0.png")
    assert (similar["kind"], similar["flip"]) == ("similar", "horizontal")
    assert 0.85 < similar["score"] < 1
    assert (similar["pretrain"]["path"], similar["test"]["path"]) == ("disguised.png", "2.png")
    assert report["groups"] == [{"group": "set/c", "pretrain_frames": 1, "test_frames": 1}]
    assert report["test"]["splits"] == {
        "test": {"frames": 4, "exact": 1, "similar": 1},
        "val": {"frames": 1, "exact": 0, "similar": 0},
    }
    assert (report["pretrain"]["frames"], report["pretrain"]["without_group"]) == (6, 2)
    assert report["corpus_hash"] == corpus.corpus_hash
    assert report["split_hash"] == task.split_hash


def test_a_disjoint_pretraining_dataset_is_clean(tmp_path, scenes, task):
    rows = [(f"{number}.png", f"other/{number}", None, scenes[number]) for number in (6, 7, 8, 9)]
    (clean,) = compare(PackCollection([pack_of(tmp_path / "pack", rows)]), task.path)
    assert not has_leakage(clean)
    assert clean["pairs"] == []


def test_several_folders_in_one_pass_give_the_same_reports(report, corpus, task):
    """All frames of a pack are held out; here they are compared with themselves."""
    own, other = compare(corpus, corpus.packs[1].path, task.path)
    assert other == report
    content = {key: value for key, value in report.items() if key != "report_hash"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    assert report["report_hash"] == hashlib.sha256(text.encode()).hexdigest()
    assert own["test"]["splits"] == {"all": {"frames": 3, "exact": 3, "similar": 0}}
    assert [pair["pretrain"]["row"] for pair in own["pairs"]] == [3, 4, 5]


def test_denoising_is_checked_by_its_clean_frames(tmp_path, scenes):
    rows = [("0.png", "set/a", "test", scenes[0]), ("1.png", "set/b", "test", scenes[1])]
    folder = write_task_folder(Rows("noise", rows), tmp_path / "task", "denoising", progress=False)
    pack = pack_of(tmp_path / "pack", [("x.png", None, None, scenes[1]), rows[0]])
    held_out = open_held_out(folder.path)
    np.testing.assert_array_equal(held_out.read(0), scenes[0])
    (report,) = compare(PackCollection([pack]), folder.path)
    assert report["counts"]["exact"] == 2
    assert {pair["kind"] for pair in report["pairs"]} == {"exact"}


def test_long_lists_are_truncated_and_counted_in_full(tmp_path, scenes, task, monkeypatch):
    """Seven copies: three identical and four with one changed pixel."""
    rows = []
    for number in range(7):
        pixels = scenes[3].copy()
        pixels[0, 0] ^= number > 2 and number
        rows.append((f"{6 - number}.png", None, None, pixels))
    pack = PackCollection([pack_of(tmp_path / "pack", rows)])
    monkeypatch.setattr(leakage, "PAIRS_PER_FRAME", 1)
    (report,) = compare(pack, task.path)
    assert (report["counts"]["exact_pairs"], report["counts"]["similar_pairs"]) == (3, 4)
    assert report["counts"]["exact"] == 1
    assert report["counts"]["similar"] == 0, "counted once, as the worse of both"
    assert [(pair["kind"], pair["pretrain"]["row"]) for pair in report["pairs"]] == [("exact", 0)]


def test_the_sheet_shows_both_frames_in_the_same_orientation(tmp_path, report, corpus, task):
    held_out = open_held_out(task.path)
    write_leakage_report(tmp_path, report, corpus, held_out)
    assert json.loads((tmp_path / "report.json").read_text()) == report
    with Image.open(tmp_path / "pairs.png") as sheet:
        pixels = np.asarray(sheet, dtype=np.float64)
    # Two cells of two adjacent images of 192², eight pixels between the cells.
    left, right = pixels[8:200, 408:600], pixels[8:200, 600:792]
    assert np.corrcoef(left.ravel(), right.ravel())[0, 1] > 0.95
    assert np.corrcoef(left[:, ::-1].ravel(), right.ravel())[0, 1] < 0.9
    # A clean report removes the sheet of an earlier one.
    write_leakage_report(tmp_path, {**report, "pairs": []}, corpus, held_out)
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_find_report_by_task_and_pretraining_dataset(tmp_path, scenes):
    def write(name: str, numbers: tuple[int, ...]) -> TaskFolder:
        rows = [(f"{n}.png", None, "test", scenes[n]) for n in numbers]
        return write_task_folder(Rows("x", rows), tmp_path / name, "detection", progress=False)

    folder, held_out = write("task", (0, 1)), open_held_out(tmp_path / "task")
    packs = PackCollection([pack_of(tmp_path / "pack", [("a.png", None, None, scenes[0])])])
    corpus_hash = packs.corpus_hash
    assert find_leakage_report(folder.path, corpus_hash) is None
    (report,) = check_leakage(packs, [held_out], progress=False)
    place = report_folder(folder.path, corpus_hash)
    assert place == tmp_path / "task" / "leakage" / corpus_hash[:16]
    write_leakage_report(place, report, packs, held_out)
    assert find_leakage_report(folder.path, corpus_hash) == {
        "report_hash": report["report_hash"],
        "exact": 1,
        "similar": 0,
        "groups": 0,
    }
    assert TaskFolder.open(folder.path).split_hash == folder.split_hash, "still a complete task"
    assert find_leakage_report(folder.path, "0" * 64) is None
    assert find_leakage_report(folder.path, corpus_hash[:16] + "0" * 48) is None

    # The task is rebuilt with other frames, next to the old reports.
    other = write("other", (0, 1, 2))
    (folder.path / "leakage").rename(other.path / "leakage")
    assert find_leakage_report(other.path, corpus_hash) is None

    file = report_folder(other.path, corpus_hash) / "report.json"
    changed = {**report, "counts": {**report["counts"], "exact": 0}}
    old = {key: value for key, value in report.items() if key != "report_hash"} | {"schema": "0"}
    old["report_hash"] = sha256_json(old)
    for content, message in ((changed, "edited"), (old, "another version"), ([], "not a JSON ob")):
        file.write_text(json.dumps(content))
        with pytest.raises(InputError, match=message):
            find_leakage_report(other.path, corpus_hash)


def test_input_errors(tmp_path, scenes, corpus):
    def write(split: str) -> TaskFolder:
        rows = Rows("t", [("0.png", None, split, scenes[0])])
        return write_task_folder(rows, tmp_path / split, progress=False)

    with pytest.raises(InputError, match="no such folder"):
        open_held_out(tmp_path / "absent")
    with pytest.raises(InputError, match="no frame in the splits test or val"):
        open_held_out(write("train").path)
    broken = write("test")
    broken.image("test", "0").write_bytes(b"")
    with pytest.raises(InputError, match=r"0\.png: empty file; make .*test again"):
        compare(corpus, broken.path)


@pytest.mark.skipif("ANGIO_REALDATA" not in os.environ, reason="ANGIO_REALDATA names no folder")
def test_real_frames_match_only_within_a_patient():
    """DCA1 names no patients; four pairs of its first 40 frames show one patient each."""
    from benchmark.data.checks.near_duplicates import NearDuplicates
    from benchmark.data.sources import open_source

    source = open_source("dca1", Path(os.environ["ANGIO_REALDATA"]) / "dca1")
    frames = [frame for frame in source.frames() if int(frame.path[:-4]) <= 40]
    images = [source.read(frame) for frame in frames]
    found = NearDuplicates(images).find(images)
    pairs = {(frames[m.row].path, frames[m.query].path) for m in found if m.row < m.query}
    assert pairs <= {("2.png", "3.png"), ("9.png", "12.png")}
    assert ("2.png", "3.png") in pairs

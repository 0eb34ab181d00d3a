"""Examples round-trip, and nothing else is accepted as an example."""

from __future__ import annotations

import io
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark import files
from benchmark.errors import InputError
from benchmark.results import Example, read_examples, read_record, read_results, write_record


def same(one: Example, two: Example) -> bool:
    pairs = ((getattr(one, n), getattr(two, n)) for n in ("frame", "truth", "prediction"))
    equal = all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in pairs)
    return one.image == two.image and equal


def test_images_and_boxes_round_trip(tmp_path, make_record, scores, examples):
    boxes = np.array([[1.5, 2, 3, 4.25, 0], [0, 0, 1, 1, 0]], np.float32)
    none = np.zeros((0, 6), np.float32)
    found = [replace(examples[0], image="ä-1", truth=boxes, prediction=none)]
    for given, kept in (
        (make_record(), examples),
        (make_record(dataset="stenosis", task="detection"), found),
    ):
        path = write_record(tmp_path, given, scores, kept)
        record = read_record(path)
        assert record.examples.file == "seed0.examples.npz"
        assert record.examples.sha256 == files.sha256_file(path.with_suffix(".examples.npz"))
        assert all(same(one, two) for one, two in zip(read_examples(path), kept, strict=True))
        again = write_record(tmp_path / "again", given, scores, kept)
        assert read_record(again) == record, "equal examples are equal bytes"


def test_a_record_without_examples_has_none(write, examples):
    """Also where an earlier record of the run had some."""
    write(examples=examples)
    path = write()
    assert read_examples(path) == []
    assert {file.name for file in path.parent.iterdir()} == {"seed0.json", "seed0.csv"}


def test_missing_or_changed_examples_are_named_and_the_scores_kept(tmp_path, write, examples):
    path = write(examples=examples)
    file = path.with_suffix(".examples.npz")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"seed0\.json: key 'examples\.sha256'"):
        read_examples(path)
    file.unlink()
    with pytest.raises(InputError, match=r"seed0\.json: key 'examples\.file'.*missing"):
        read_examples(path)
    assert read_results(tmp_path) == ([read_record(path)], [])
    path.unlink()
    file.touch()
    _, problems = read_results(tmp_path)
    assert problems[1] == "journal/vasomim/arcade_v/seed0.examples.npz: examples without a record"


class Trap:
    """A pickle that leaves a file behind when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (open, (str(self.path), "w"))


def _archive(arrays: dict[str, np.ndarray]) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.fixture
def plant(edit):
    """Put a file of examples with the right hash beside a record."""

    def planted(path: Path, content: bytes) -> None:
        file = path.with_suffix(".examples.npz")
        file.write_bytes(content)
        edit(path, examples={"file": file.name, "sha256": files.sha256_bytes(content)})

    return planted


GREY = np.zeros((2, 2), np.uint8)
PARTS = {"images": np.array(["a"]), "frame_0": GREY, "truth_0": GREY, "prediction_0": GREY}


BOXES = {"truth_0": np.zeros((1, 5), np.float32), "prediction_0": np.zeros((0, 6), np.float32)}


def _bomb() -> bytes:
    """4 MiB in 4 KiB."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("images.npy", "w") as member,
    ):
        for _ in range(4):
            member.write(bytes(1 << 20))
    return stream.getvalue()


def _huge() -> bytes:
    """A header that announces more than any memory holds."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "|u1", "fortran_order": False, "shape": (1 << 40, 1 << 20)}
    )
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("images.npy", stream.getvalue())
    return archive.getvalue()


@pytest.mark.parametrize(
    ("task", "content"),
    [
        ("segmentation", _archive({**PARTS, "truth_0": np.zeros((3, 2), np.uint8)})),
        ("segmentation", _archive({**PARTS, "truth_0": np.array([["a", "b"]] * 2)})),
        ("denoising", _archive({**PARTS, "prediction_0": GREY.astype(np.float32)})),
        ("segmentation", _archive({**dict.fromkeys(PARTS, GREY[:0]), "images": np.array(["a"])})),
        ("segmentation", _archive({**PARTS, "images": np.array("a")})),
        ("segmentation", _archive({**PARTS, **BOXES})),
        ("detection", _archive(PARTS)),
        ("detection", _archive({**PARTS, **BOXES, "prediction_0": BOXES["truth_0"]})),
        ("detection", _archive({**PARTS, **BOXES, "truth_0": BOXES["truth_0"] + np.nan})),
        ("detection", _archive({**PARTS, **BOXES, "truth_0": BOXES["truth_0"] + 1e30})),
        ("detection", _archive({**PARTS, **BOXES, "truth_0": np.float32([[5, 0, 4, 1, 0]])})),
        ("segmentation", b""),
        ("segmentation", b"not an archive"),
        ("segmentation", _npy(GREY)),
        ("segmentation", _archive({"images": np.array(["a"])})),
        ("segmentation", _archive({**PARTS, "frame_0": np.zeros((2, 2, 3), np.uint8)})),
        ("segmentation", _archive({**PARTS, "frame_0": np.zeros((2, 2), np.float32)})),
        ("segmentation", _archive({**PARTS, "truth_0": np.zeros(2, np.uint8)})),
        ("segmentation", _archive(PARTS)[:-30]),
        ("segmentation", _bomb),
        ("segmentation", _huge),
    ],
)
def test_what_holds_no_examples_of_its_task_is_refused(write, plant, monkeypatch, task, content):
    """What passes here is drawn without another look."""
    monkeypatch.setattr("benchmark.results.examples._MAX_BYTES", 1 << 20)
    path = write(task=task)
    plant(path, content() if callable(content) else content)
    with pytest.raises(InputError, match=r"seed0\.examples\.npz: holds no examples"):
        read_examples(path)


def test_no_pickle_is_opened(tmp_path, write, plant):
    path = write()
    left = tmp_path / "left"
    trap = np.empty(1, object)
    trap[0] = Trap(left)
    contents = [_archive({**PARTS, "images": trap})]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("images.npy", pickle.dumps(Trap(left)))
    contents += [stream.getvalue(), pickle.dumps(Trap(left))]
    for content in contents:
        plant(path, content)
        with pytest.raises(InputError, match="holds no examples"):
            read_examples(path)
    assert not left.exists()

"""Sheets of prepared tasks: annotations are tinted where they are, in the colour of their class."""

from __future__ import annotations

import numpy as np
import pytest
from checked_source import Pictures
from raw_layouts import picture

from benchmark.data.tasks import write_task_folder
from benchmark.errors import InputError
from benchmark.visualization.contact_sheets import draw_sheet
from benchmark.visualization.task_sheets import MAX_COLUMNS, task_rows

COLOURS = ((230, 70, 70), (70, 130, 230))


def _rows(tmp_path, kind: str, classes: tuple[str, ...] = ("vessel",), count: int = 6):
    task = write_task_folder(Pictures(classes), tmp_path / "task", kind, progress=False)
    return task, task_rows(task, count)


def _tinted(frame: np.ndarray, where: np.ndarray, colour: tuple[int, ...]) -> np.ndarray:
    expected = np.repeat(frame[..., None], 3, axis=2).astype(np.float32)
    expected[where] = 0.45 * expected[where] + 0.55 * np.array(colour, np.float32)
    return expected.astype(np.uint8)


def test_a_column_for_each_class(tmp_path):
    classes = ("vessel", "catheter")
    _, rows = _rows(tmp_path, "segmentation", classes)
    assert [list(row) for row in rows] == [["frame", *classes]] * 6
    for number, row in enumerate(rows):
        frame = picture(number, 40, 48)
        np.testing.assert_array_equal(row["frame"], frame)
        for label, name in enumerate(classes):
            where = np.zeros((40, 48), bool)
            where[5 * label : 5 * label + 7, 3:30] = number != 1
            np.testing.assert_array_equal(row[name], _tinted(frame, where, COLOURS[label]))


def test_many_classes_share_a_column(tmp_path):
    classes = tuple(f"c{n}" for n in range(MAX_COLUMNS + 1))
    _, rows = _rows(tmp_path, "segmentation", classes, count=2)
    assert [list(row) for row in rows] == [["frame", "5 classes"]] * 2


def test_boxes_are_outlined(tmp_path):
    _, rows = _rows(tmp_path, "detection", ("stenosis",))
    ring = np.zeros((40, 48), bool)
    ring[3:30, 2:20] = True
    ring[4:29, 3:19] = False
    np.testing.assert_array_equal(
        rows[1]["stenosis"], _tinted(picture(1, 40, 48), ring, COLOURS[0])
    )
    assert (rows[0]["stenosis"] == np.repeat(picture(0, 40, 48)[..., None], 3, axis=2)).all()


def test_noisy_beside_clean_and_the_file(tmp_path):
    task, rows = _rows(tmp_path, "denoising", count=2)
    assert [list(row) for row in rows] == [["noisy", "clean"]] * 2
    assert (rows[0]["noisy"] != rows[0]["clean"]).any()
    text = draw_sheet(task.path, tmp_path / "sheet.png", count=2)
    assert text == f"{tmp_path / 'sheet.png'}: 2 frames of the task {task.path}"
    with pytest.raises(InputError, match="neither a pack, a task nor a run"):
        draw_sheet(tmp_path, tmp_path / "sheet.png")

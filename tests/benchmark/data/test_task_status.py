"""The state of a prepared task, told from its manifest."""

from __future__ import annotations

import json

import pytest
from checked_source import Pictures

from benchmark.data.task_status import TaskStatus, task_status
from benchmark.data.tasks import write_task_folder


@pytest.fixture
def folder(tmp_path):
    source = Pictures(classes=("vessel", "catheter"))
    return write_task_folder(source, tmp_path / "task", "segmentation", progress=False).path


def test_counts_classes_and_origin(folder, tmp_path):
    found = task_status(folder, "segmentation")
    assert found == TaskStatus("prepared", {"train": 4, "test": 2}, False, ("vessel", "catheter"))
    assert task_status(tmp_path / "absent", "segmentation") == TaskStatus("not prepared")
    other = task_status(folder, "detection")
    assert other.state == "damaged: a segmentation task, but the config is for detection"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"splits": 3}', '{"splits": {"a": 1}}'])
def test_an_unreadable_manifest(folder, content):
    (folder / "manifest.json").write_text(content)
    found = task_status(folder, "segmentation")
    assert found == TaskStatus("damaged: its manifest.json cannot be read")


def test_lists_that_were_changed_and_files_that_are_missing(folder):
    next((folder / "images" / "train").iterdir()).unlink()
    assert task_status(folder, "segmentation").state == (
        "damaged: 1 files missing from images/train"
    )
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["splits"]["train"].pop()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    found = task_status(folder, "segmentation")
    assert (found.state, found.counts["train"]) == ("damaged: its lists were changed by hand", 3)

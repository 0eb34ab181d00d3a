"""Detection through the whole of fine-tuning: composed, trained, scored, recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.data.tasks import TaskFolder
from benchmark.downstream.compose import compose
from benchmark.downstream.detection.metrics import DEFINITIONS
from benchmark.downstream.detection.vitdet import ViTDet
from benchmark.downstream.finetune import Cell, run_cell
from benchmark.engine.encoder import read_card
from benchmark.engine.records import read_record
from benchmark.errors import InputError

CONFIGS = Path(__file__).resolve().parents[4] / "configs"


def _cell(work: Path, folder: Path, method: str = "mae", *options: str) -> Cell:
    settings = ["epochs=1", "batch_size=4", "num_workers=0", f"data.folder={folder}", *options]
    config, card = compose(CONFIGS, method, "synthetic_d", "tiny", settings, work)
    return Cell(config, card, "synthetic_d", 0, work / method, work / "results")


def test_a_cell_of_detection_is_recorded(
    lesions: TaskFolder, tmp_path: Path, export_tiny: Callable[..., Path]
) -> None:
    folder = export_tiny(tmp_path / "mae" / "pretrain", seed=0)
    cell = _cell(tmp_path, lesions.path)
    assert cell.config.model.backbone.type is ViTDet
    record = run_cell(cell)
    assert (record.task, record.n_images) == ("detection", len(lesions.splits["test"]))
    assert {n: m["definition"] for n, m in record.metrics.items()} == DEFINITIONS
    assert all(m["headline"] and 0 <= m["value"] <= 100 for m in record.metrics.values())
    assert record.encoder["weights_sha256"] == read_card(folder).weights_sha256
    assert (cell.folder / "predictions" / "detections.json").is_file()
    assert read_record(cell.record).metrics == record.metrics
    assert run_cell(cell) == read_record(cell.record)


def test_models_and_tasks_that_do_not_fit_are_named(lesions: TaskFolder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unet: a model for segmentation, but synthetic_d is"):
        _cell(tmp_path, lesions.path, "unet")
    with pytest.raises(InputError, match="detr: a model for detection, but dca1 is segmentation"):
        compose(CONFIGS, "detr", "dca1", "tiny", [], tmp_path)
    with pytest.raises(InputError, match=r"num_classes=3, but .* has 1 \(stenosis\)"):
        run_cell(
            _cell(tmp_path, lesions.path, "faster_rcnn", "model.roi_head.bbox_head.num_classes=3")
        )

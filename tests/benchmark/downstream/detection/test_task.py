"""Detection through the whole of fine-tuning: composed, trained, scored, recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmark.data.tasks import TaskFolder
from benchmark.downstream import finetune
from benchmark.downstream.cell import BenchmarkCell
from benchmark.downstream.compose import compose
from benchmark.downstream.detection.metrics import DEFINITIONS
from benchmark.downstream.detection.vitdet import ViTDet
from benchmark.downstream.finetune import run_cell
from benchmark.downstream.task import load_task
from benchmark.encoders.card import read_encoder_card
from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS
from benchmark.results import read_record

Cell = Callable[..., BenchmarkCell]


@pytest.fixture
def make_cell(tmp_path: Path, lesions: TaskFolder, compose_cell: Cell) -> Cell:
    def make(method: str = "mae", *options: str, seed: int = 0) -> BenchmarkCell:
        settings = ["epochs=1", "batch_size=4", "num_workers=0", f"data.folder={lesions.path}"]
        return compose_cell(tmp_path, method, "synthetic_d", [*settings, *options], seed)

    return make


def test_a_cell_of_detection_is_recorded(lesions, tmp_path, export_tiny, make_cell):
    folder = export_tiny(tmp_path / "mae" / "pretrain", seed=0)
    cell = make_cell()
    assert cell.config.model.backbone.type is ViTDet
    record = run_cell(cell)
    assert (record.task, record.n_images) == ("detection", len(lesions.splits["test"]))
    assert {n: m.definition for n, m in record.metrics.items()} == DEFINITIONS
    assert all(m.headline and 0 <= m.value <= 100 for m in record.metrics.values())
    assert record.encoder.weights_sha256 == read_encoder_card(folder).weights_sha256
    assert (cell.folder / "predictions" / "detections.json").is_file()
    assert read_record(cell.record).metrics == record.metrics
    assert run_cell(cell) == read_record(cell.record)


def test_classes_that_do_not_fit_are_named(make_cell):
    with pytest.raises(InputError, match=r"num_classes=3, but .* has 1 \(stenosis\)"):
        run_cell(make_cell("faster_rcnn", "model.roi_head.bbox_head.num_classes=3"))


def test_encoders_meet_the_same_frames_in_the_same_way(lesions, tmp_path, export_tiny, make_cell):
    """Order, jitter, flips and crops are the seed's; the encoder has no say in them."""
    batches = []
    for method, seed, patch in (("mae", 4, 8), ("vasomim", 4, 16), ("mae", 5, 8)):
        export_tiny(tmp_path / method / "pretrain", seed=patch, patch_size=patch)
        cell = make_cell(method, seed=seed)
        cell.config.seed = seed
        loader = finetune.assemble(cell, load_task("detection"), lesions).loader
        loader.batch_sampler.set_epoch(1)
        batches.append(list(loader))
    assert len(batches[0]) == 2
    for one, two in zip(batches[0], batches[1], strict=True):
        assert [s.img_path for s in one["data_samples"]] == [
            s.img_path for s in two["data_samples"]
        ]
        assert all(torch.equal(a, b) for a, b in zip(one["inputs"], two["inputs"], strict=True))
        for a, b in zip(one["data_samples"], two["data_samples"], strict=True):
            assert torch.equal(a.gt_instances.bboxes.tensor, b.gt_instances.bboxes.tensor)
    first, other = batches[0][0]["inputs"][0], batches[2][0]["inputs"][0]
    assert first.shape != other.shape or not torch.equal(first, other)


def test_a_share_of_the_labels_is_a_nested_subset(lesions, tmp_path):
    """`label_fraction` takes whole patients, and trains on fewer frames."""
    config, _ = compose(CONFIGS, "faster_rcnn", "synthetic_d", "tiny", [], tmp_path)
    stems = []
    for share in (0.5, 1.0):
        config.label_fraction = share
        dataset = load_task("detection").build_dataset(config, lesions, "train", 0)
        items = (dataset[0, index]["data_samples"] for index in range(len(dataset)))
        stems.append({Path(item.img_path).stem for item in items})
    assert stems[0] < stems[1]
    assert len(stems[1]) == len(lesions.splits["train"])


def test_a_number_of_labels_is_trained_for_as_long_as_all(lesions, tmp_path):
    config, _ = compose(CONFIGS, "faster_rcnn", "synthetic_d", "tiny", [], tmp_path)
    config.label_count = 2
    dataset = load_task("detection").build_dataset(config, lesions, "train", 0)
    assert dataset.samples == len(lesions.splits["train"]) > len(dataset) == 2
    paths = [dataset[1, index]["data_samples"].img_path for index in range(dataset.samples)]
    assert paths == [paths[index % 2] for index in range(dataset.samples)]
    assert len(set(paths)) == 2

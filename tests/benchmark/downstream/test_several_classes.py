"""A task of 25 overlapping classes from its folder to its record, for two kinds of head."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.data.sources import open_source
from benchmark.data.tasks import TaskFolder, write_task_folder
from benchmark.downstream.cell import BenchmarkCell
from benchmark.downstream.finetune import run_cell
from benchmark.downstream.segmentation.task import build_model
from benchmark.errors import InputError
from benchmark.results import read_record

SMALL = ["epochs=1", "batch_size=2", "num_workers=0", "base_lr=0.01"]


@pytest.fixture(scope="module")
def segments(tmp_path_factory: pytest.TempPathFactory) -> TaskFolder:
    options = dict(patients=3, videos=1, frames=5, first_frame=3, size=80, task="synthetic_vs")
    out = tmp_path_factory.mktemp("task") / "segments"
    return write_task_folder(
        open_source("synthetic", **options), out, progress=False, kind="segmentation"
    )


@pytest.fixture
def make_cell(
    tmp_path: Path,
    segments: TaskFolder,
    export_vit: Callable[..., Path],
    compose_cell: Callable[..., BenchmarkCell],
    sizes: tuple[str, ...],
) -> Callable[..., BenchmarkCell]:
    """A cell of one epoch; MAE has an encoder."""

    def make(method: str, *options: str) -> BenchmarkCell:
        if method == "mae":
            export_vit(tmp_path / "mae" / "pretrain")
        small = (*SMALL, *sizes) if method != "frangi" else ()
        settings = [*small, f"data.folder={segments.path}", *options]
        return compose_cell(tmp_path, method, "synthetic_vs", settings)

    return make


def test_segments_of_the_source_are_the_classes(segments):
    """The channels read back are the labels that were drawn."""
    source = open_source("synthetic", patients=3, videos=1, frames=5, size=80, task="synthetic_vs")
    frames = {frame.path: frame for frame in source.frames()}
    assert len(segments.classes) == 26
    for item in segments.splits["train"]:
        drawn = source.read_masks(frames[item["path"]])
        np.testing.assert_array_equal(segments.channels("train", item["stem"]), drawn)
        labels = np.asarray(Image.open(segments.mask("train", item["stem"])))
        np.testing.assert_array_equal(np.argmax(drawn, axis=0) + drawn.any(axis=0), labels)


@pytest.mark.parametrize("method", ["mae", "unet"])
def test_every_head_gets_a_channel_for_each_class(method, segments, make_cell):
    cell = make_cell(method)
    record = run_cell(cell)
    assert build_model(cell.config, 0, 25).decode_head.out_channels == 25
    assert {n for n, m in record.metrics.items() if m.headline} == {"dsc"}
    assert record.metrics["dsc"].definition.startswith("dsc/per-image-mean/classes-pooled")
    truth = [segments.channels("test", item["stem"]) for item in segments.splits["test"]]
    present = np.any(truth, axis=(0, 2, 3))
    scored = {n for n in record.metrics if n.startswith("dsc_class_")}
    names = {f"dsc_class_{n}" for n, there in zip(segments.classes[1:], present) if there}
    assert scored == names
    assert read_record(cell.record).metrics == record.metrics


def test_a_label_map_is_another_head_with_the_same_scores(segments, make_cell):
    """26 channels and a soft-max; no two classes are predicted for one pixel."""
    cell = make_cell("mae", "label_map=True", "base_lr=0.03")
    record = run_cell(cell)
    assert build_model(cell.config, 0, 25).decode_head.out_channels == 26
    assert record.metrics["dsc"].definition.startswith("dsc/per-image-mean/classes-pooled")
    scores, overlap, total = [], 0, 0
    for item in segments.splits["test"]:
        labels = np.asarray(Image.open(cell.folder / "predictions" / f"{item['stem']}.png"))
        found = labels == np.arange(1, 26)[:, None, None]
        truth = segments.channels("test", item["stem"])
        common, both = (found & truth).sum(), found.sum() + truth.sum()
        scores.append(200 * common / both if both else 100.0)
        overlap, total = overlap + common, total + both
    assert record.metrics["dsc"].value == pytest.approx(np.mean(scores))
    assert record.metrics["dsc_dataset"].value == pytest.approx(200 * overlap / total)


def test_what_classes_do_not_allow_is_named(make_cell):
    with pytest.raises(InputError, match="marks vessels and cannot tell 25 classes apart"):
        run_cell(make_cell("frangi"))
    with pytest.raises(InputError, match="unknown metric 'cldice'"):
        run_cell(make_cell("mae", "metrics=('cldice',)"))


def test_one_batch_of_segments_is_learnt(segments, make_cell):
    """The head and its losses drive 25 channels of one picture to their masks."""
    cell = make_cell("unet")
    torch.manual_seed(0)
    model = build_model(cell.config, 0, 25).train()
    stems = [item["stem"] for item in segments.splits["train"][:2]]
    truth = np.stack([segments.channels("train", stem)[:, 8:72:2, 8:72:2] for stem in stems])
    label = torch.from_numpy(np.einsum("bchw,c->bhw", truth, 1 << np.arange(25)))
    image = (label[:, None] / 2**24).float().expand(-1, 3, -1, -1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = [loss["type"]() for loss in cell.config.model.decode_head.loss_decode]
    start = None
    for _ in range(100):
        logits = model.decode_head(model.backbone(image))
        loss = losses[0](logits, label)
        start = start or loss.item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05 * start

"""A fine-tuned model: written by its run, loaded without it, predicting what was scored."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from benchmark.data.sources import open_source
from benchmark.data.tasks import TaskFolder, write_task_folder
from benchmark.downstream.cell import BenchmarkCell
from benchmark.downstream.denoising.metrics import psnr
from benchmark.downstream.fine_tuned import read_model_description
from benchmark.downstream.fine_tuned.model import FineTunedModel, load_model
from benchmark.encoders.encoder import export_encoder
from benchmark.errors import InputError
from benchmark.files import read_json, sha256_file, write_json
from benchmark.nn.vit import VisionTransformer
from benchmark.results import config_hash, read_record


@pytest.fixture(scope="module")
def model(trained: BenchmarkCell, tmp_path_factory: pytest.TempPathFactory) -> FineTunedModel:
    """The two files alone, elsewhere, loaded while encoder and run are out of the way."""
    folder = tmp_path_factory.mktemp("copied")
    for name in ("model.json", "model.safetensors"):
        shutil.copy(trained.folder / name, folder)
    work = trained.folder.parents[2]
    work.rename(work.with_name("away"))
    try:
        return load_model(folder)
    finally:
        work.with_name("away").rename(work)


def frames_of(folder: TaskFolder) -> list[np.ndarray]:
    stems = [item["stem"] for item in folder.splits["test"]]
    return [np.asarray(Image.open(folder.image("test", stem))) for stem in stems]


def scored(cell: BenchmarkCell) -> pd.DataFrame:
    return pd.read_csv(cell.record.with_suffix(".csv"))


def test_the_description_is_that_of_the_record(trained, vessels):
    found, record = read_model_description(trained.folder), read_record(trained.record)
    assert (found.task, found.classes) == ("segmentation", ["background", "vessel"])
    assert found.scores == record.metrics
    assert found.config == record.config
    for name in ("method", "protocol", "dataset", "seed", "config_hash", "encoder", "versions"):
        assert getattr(found.provenance, name) == getattr(record, name), name
    assert found.provenance.split_hash == vessels.split_hash
    shown = found.preprocessing
    assert (shown.size, shown.keep_ratio) == ([64, 64], False)
    np.testing.assert_allclose(shown.mean, [123.675, 116.28, 103.53])
    np.testing.assert_allclose(shown.std, [58.395, 57.12, 57.375])
    assert found.weights_sha256 == sha256_file(trained.folder / "model.safetensors")


def test_a_copy_predicts_what_was_scored(model, trained, vessels):
    """DSC of its masks = the scores of the record; neither empty nor full."""
    found = model.predict(frames_of(vessels))
    dice = []
    for item, one in zip(vessels.splits["test"], found, strict=True):
        (mask,), (truth,) = one.masks, vessels.channels("test", item["stem"])
        assert mask.shape == truth.shape == (80, 80)
        assert 0 < mask.mean() < 1
        dice.append(100 * 2 * (mask & truth).sum() / (mask.sum() + truth.sum()))
        np.testing.assert_array_equal(one.probabilities > 0.5, one.masks)
    assert dice == pytest.approx(scored(trained)["dsc"].tolist(), rel=1e-12)


def test_a_prediction_depends_on_its_frame_alone(model, vessels):
    frames = [*frames_of(vessels), frames_of(vessels)[0][:50, :70]]
    together = model.predict(frames)
    for frame, one in zip(frames, together, strict=True):
        (alone,) = model.predict([frame])
        assert one.masks.shape == (1, *frame.shape)
        np.testing.assert_allclose(alone.probabilities, one.probabilities, atol=1e-5)
        np.testing.assert_array_equal(alone.masks, one.masks)
    assert model.predict([]) == []
    with pytest.raises(InputError, match="must be uint8 H×W"):
        model.predict([frames[0].astype(float)])


def test_the_weights_are_those_of_the_network(model, trained):
    saved = load_file(trained.folder / "model.safetensors")
    own = model.network.state_dict()
    assert saved.keys() == own.keys()
    assert all(torch.equal(saved[name], own[name]) for name in own)
    assert not model.network.training


def test_several_classes_overlap_or_are_labels(tmp_path, compose_cell, score_cell):
    options = dict(patients=2, videos=1, frames=4, first_frame=3, size=64, task="synthetic_vs")
    source = open_source("synthetic", **options)
    task = write_task_folder(source, tmp_path / "task", "segmentation", progress=False)
    frames, truths = (
        frames_of(task),
        [task.channels("test", i["stem"]) for i in task.splits["test"]],
    )
    for label_map in (False, True):
        settings = (f"data.folder={task.path}", f"label_map={label_map}", "batch_size=2")
        sizes = ("train_pipeline.2.scale=(96,96)", "test_pipeline.1.scale=(96,96)")
        work = tmp_path / str(label_map)
        cell = score_cell(compose_cell(work, "unet", "synthetic_vs", (*settings, *sizes)))
        found = load_model(cell.folder).predict(frames)
        assert found[0].probabilities.shape == found[0].masks.shape == (25, 64, 64)
        if label_map:
            assert all((one.masks.sum(axis=0) <= 1).all() for one in found)
            assert all((one.probabilities.sum(axis=0) <= 1 + 1e-5).all() for one in found)
        dice = [
            100 * 2 * (one.masks & truth).sum() / (one.masks.sum() + truth.sum())
            for one, truth in zip(found, truths, strict=True)
        ]
        assert dice == pytest.approx(scored(cell)["dsc"].tolist(), rel=1e-12)


@pytest.fixture(scope="module")
def detector(
    tmp_path_factory: pytest.TempPathFactory,
    compose_cell: Callable[..., BenchmarkCell],
    score_cell: Callable[..., BenchmarkCell],
) -> tuple[BenchmarkCell, TaskFolder]:
    """A detector of initial weights on an encoder, and its task of frames of 100²."""
    work = tmp_path_factory.mktemp("detector")
    options = dict(patients=4, videos=1, frames=6, first_frame=4, size=100, test_fraction=0.5)
    task = write_task_folder(
        open_source("synthetic", **options), work / "task", "detection", progress=False
    )
    export_encoder(work / "mae" / "pretrain", VisionTransformer(96, 8, 48, 4, 3), {})
    settings = (f"data.folder={task.path}", "batch_size=2")
    return score_cell(compose_cell(work, "mae", "synthetic_d", settings)), task


def test_boxes_are_those_that_were_scored(detector):
    cell, task = detector
    shutil.rmtree(cell.folder.parents[2] / "pretrain")
    model = load_model(cell.folder / "model.json")
    assert model.batch_size == 1  # as without training
    found = [one for frame in frames_of(task) for one in model.predict([frame])]
    written = read_json(cell.folder / "predictions" / "detections.json")
    assert len(written) == sum(len(one.boxes) for one in found) > 0
    for number, one in enumerate(found, start=1):
        rows = [row for row in written if row["image_id"] == number]
        x, y, width, height = np.array([row["bbox"] for row in rows]).T
        np.testing.assert_array_equal(one.boxes, np.stack([x, y, x + width, y + height], axis=1))
        assert one.scores.tolist() == [row["score"] for row in rows]
        assert (np.diff(one.scores) <= 0).all()
        assert set(one.labels) == {0}
        assert one.masks is one.probabilities is one.denoised is None


@pytest.mark.parametrize("method", ["mae", "nlm"])
def test_denoised_frames_are_those_that_were_scored(
    method, tmp_path, compose_cell, score_cell, export_vit
):
    """Of a network and of a filter without weights."""
    source = open_source("synthetic", patients=2, videos=1, frames=6, size=80)
    task = write_task_folder(
        source, tmp_path / "task", "denoising", frames_per_group=2, progress=False
    )
    sizes = ("model.window=64", "train_pipeline.0.size=64") if method == "mae" else ()
    export_vit(tmp_path / "mae" / "pretrain")
    settings = (f"data.folder={task.path}", *sizes)
    cell = score_cell(compose_cell(tmp_path, method, "synthetic_n", settings))
    found = load_model(cell.folder).predict(frames_of(task))
    for item, one in zip(task.splits["test"], found, strict=True):
        kept = Image.open(cell.folder / "predictions" / f"{item['stem']}.png")
        np.testing.assert_array_equal(one.denoised, np.asarray(kept))
    clean = [np.asarray(Image.open(task.clean("test", i["stem"]))) for i in task.splits["test"]]
    values = [psnr(one.denoised, truth) for one, truth in zip(found, clean, strict=True)]
    assert values == scored(cell)["psnr"].tolist()


def test_overwriting_the_run_replaces_its_model_or_removes_it(
    tmp_path, vessels, compose_cell, score_cell, capsys
):
    settings = (f"data.folder={vessels.path}",)
    cell = score_cell(compose_cell(tmp_path, "frangi", "synthetic_v", settings))
    assert load_model(cell.folder).predict(frames_of(vessels))[0].probabilities is None
    score_cell(cell)
    assert "its model was not kept" not in capsys.readouterr().out
    before = read_record(cell.record)
    cell.record.unlink()
    cell.config.export_model = False
    score_cell(cell)
    assert not list(cell.folder.glob("model.*"))
    # It is no other run for that.
    assert read_record(cell.record).config_hash == before.config_hash
    cell.config.export_model = True
    score_cell(cell)
    assert "done already\n" in (said := capsys.readouterr().out)
    assert said.endswith("its model was not kept; --overwrite trains and keeps it\n")
    with pytest.raises(InputError, match=r"without export_model; tools/finetune.py --overwrite"):
        read_model_description(cell.folder)


def change(folder: Path, key: str, value: object) -> None:
    """Set one (nested) key of a model.json."""
    content = read_json(folder / "model.json")
    node = content
    *parents, last = key.split(".")
    for name in parents:
        node = node[int(name) if isinstance(node, list) else name]
    node[last] = value
    write_json(folder / "model.json", content)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("schema", 2, "schema' must be 1"),
        ("extra", 1, "unknown key 'extra'"),
        ("classes", ["background", "a", "b"], "do not fit EncoderDecoder"),
        ("config.epochs", 77, "key 'config' was changed"),
        ("weights_sha256", "0" * 64, "sha256 differs"),
        ("preprocessing.size", [32, 32], "'preprocessing' is not that of the config"),
        ("encoder.arguments.embed_dim", 16, "widths=.32., but its arguments give"),
        ("encoder", None, "encoder: must hold a JSON object"),
    ],
)
def test_a_changed_description_is_refused(trained, tmp_path, key, value, message):
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("model.json", "model.safetensors"):
        shutil.copy(trained.folder / name, folder)
    change(folder, key, value)
    with pytest.raises(InputError, match=message) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model", 3, "no network can be built from it"),
        ("model.backbone", "a text", "no network can be built from it"),
        ("model.type", "os.system", "'os.system' is not part of a network"),
        ("model.decode_head.widths", [-1, "a"], "no network can be built from it"),
        ("model.decode_head.widths", [64, 128, 256, 256], "do not fit EncoderDecoder"),
        ("test_pipeline", [3], "no network can be built from it"),
        ("test_pipeline", {}, "no network can be built from it|no .*scale"),
        ("test_pipeline.1.type", "torch.hub.load", "'torch.hub.load' is not part of a network"),
        ("test_pipeline.1.scale", None, "no network can be built from it"),
    ],
)
def test_a_forged_config_runs_nothing_and_is_one_line(trained, tmp_path, key, value, message):
    """Its hash is as it should be; of the rest nothing is taken on trust."""
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("model.json", "model.safetensors"):
        shutil.copy(trained.folder / name, folder)
    change(folder, f"config.{key}", value)
    forged = config_hash(read_json(folder / "model.json")["config"])
    change(folder, "provenance.config_hash", forged)
    with pytest.raises(InputError, match=message) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


def test_missing_and_damaged_files_are_one_line(trained, tmp_path):
    with pytest.raises(InputError, match=r"no fine-tuned model .*name the folder of a run"):
        load_model(tmp_path)
    encoder = trained.folder.parents[2] / "pretrain"
    with pytest.raises(InputError, match="it holds an encoder; fine-tune it"):
        load_model(encoder)
    shutil.copy(trained.folder / "model.json", tmp_path)
    with pytest.raises(InputError, match=r"model.safetensors: no such file"):
        load_model(tmp_path)
    data = (trained.folder / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(data[:-100])
    with pytest.raises(InputError, match="damaged, or not the weights"):
        load_model(tmp_path)

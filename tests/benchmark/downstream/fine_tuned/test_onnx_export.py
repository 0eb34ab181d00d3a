"""Fine-tuned segmentors as ONNX files: ONNX Runtime finds the probabilities that were scored."""

from __future__ import annotations

import json

import cv2
import numpy as np
import onnxruntime
import pytest

from benchmark.data.sources import open_source
from benchmark.data.tasks import write_task_folder
from benchmark.downstream.fine_tuned.model import load_model
from benchmark.downstream.fine_tuned.onnx_export import write_segmentor_onnx
from benchmark.errors import InputError
from benchmark.files import read_json


def frames_of(count: int, size: tuple[int, int]) -> list[np.ndarray]:
    source = open_source("synthetic", patients=1, videos=1, frames=9, first_frame=3, size=80)
    found = [source.read(frame) for frame in source.frames()][:count]
    return [cv2.resize(one, size[::-1]) for one in found]


@pytest.fixture(scope="module")
def written(trained, tmp_path_factory):
    """The model of a run, and its file."""
    path = tmp_path_factory.mktemp("onnx") / "vessels.onnx"
    report = write_segmentor_onnx(path, load_model(trained.folder))
    assert report.difference < 1e-5
    return load_model(trained.folder), path


@pytest.mark.parametrize("count", [1, 4])
def test_probabilities_are_those_of_the_model(written, count):
    model, path = written
    frames = frames_of(count, (64, 64))
    session = onnxruntime.InferenceSession(path)
    (found,) = session.run(["probabilities"], {"frames": np.stack(frames)[:, None]})
    wanted = np.stack([one.probabilities for one in model.predict(frames)])
    assert wanted.min() < 0.5 < wanted.max()
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4)


def test_masks_of_native_size_are_those_of_predict(written):
    """Resized by OpenCV before, and the logits after."""
    model, path = written
    session = onnxruntime.InferenceSession(path)
    for frame in frames_of(2, (100, 80)):
        small = cv2.resize(frame, (64, 64), interpolation=cv2.INTER_LINEAR)
        (logits,) = session.run(["logits"], {"frames": small[None, None]})
        native = cv2.resize(logits[0, 0], frame.shape[::-1], interpolation=cv2.INTER_LINEAR)
        (wanted,) = model.predict([frame])
        np.testing.assert_allclose(1 / (1 + np.exp(-native)), wanted.probabilities[0], atol=1e-4)
        assert (wanted.masks[0] != (native > 0)).mean() < 1e-3


def test_the_file_says_what_it_is(written):
    model, path = written
    told = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    assert (told["task"], told["title"]) == ("segmentation", "MAE")
    assert json.loads(told["classes"]) == ["background", "vessel"]
    assert json.loads(told["threshold"]) == 0.5
    assert json.loads(told["preprocessing"])["size"] == [64, 64]
    assert told["weights_sha256"] == model.description.weights_sha256
    assert json.loads(told["provenance"])["dataset"] == "synthetic_v"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "label_map"),
    [("unet", False), ("unet", True), ("transunet", False), ("rwkv_unet", False)],
)
def test_networks_from_scratch_and_several_classes(
    tmp_path, compose_cell, score_cell, method, label_map
):
    options = dict(patients=2, videos=1, frames=4, first_frame=3, size=64, task="synthetic_vs")
    source = open_source("synthetic", **options)
    task = write_task_folder(source, tmp_path / "task", "segmentation", progress=False)
    sizes = ("train_pipeline.2.scale=(96,96)", "test_pipeline.1.scale=(96,96)")
    settings = (f"data.folder={task.path}", f"label_map={label_map}", "batch_size=2", *sizes)
    cell = score_cell(compose_cell(tmp_path, method, "synthetic_vs", settings))
    path = tmp_path / "model.onnx"
    report = write_segmentor_onnx(path, load_model(cell.folder))
    assert report.outputs["probabilities"] == ["B", 25, 96, 96]
    frames = frames_of(2, (96, 96))
    session = onnxruntime.InferenceSession(path)
    (found,) = session.run(["probabilities"], {"frames": np.stack(frames)[:, None]})
    wanted = np.stack([one.probabilities for one in load_model(cell.folder).predict(frames)])
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("frangi", "a VesselnessSegmentor cannot be written as ONNX"),
        ("vm_unet", "VM-UNet cannot be written as ONNX: its scans are loops"),
    ],
)
def test_other_models_are_refused_in_one_line(
    method, message, tmp_path, vessels, compose_cell, score_cell, sizes
):
    options = sizes if method != "frangi" else ()
    settings = (f"data.folder={vessels.path}", *options)
    cell = score_cell(compose_cell(tmp_path, method, "synthetic_v", settings))
    with pytest.raises(InputError, match=message) as caught:
        write_segmentor_onnx(tmp_path / "model.onnx", load_model(cell.folder))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "model.onnx").exists()
    assert read_json(cell.folder / "model.json")["task"] == "segmentation"

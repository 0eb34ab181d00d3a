"""The command line of ONNX files: what it leaves, what it refuses before torch is loaded."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import onnxruntime
import pytest
import torch

from benchmark.device import VARIABLE
from benchmark.encoders.encoder import export_encoder
from benchmark.nn.vit import VisionTransformer


@pytest.fixture
def run(run_tool, monkeypatch):
    """Run the tool, which chooses the CPU for its process."""
    monkeypatch.setenv(VARIABLE, "cpu")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    return lambda *arguments: run_tool("export_onnx", *arguments)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoder")
    export_encoder(folder, VisionTransformer(32, 8, 32, 1, 4, class_token=False), {})
    return folder


def test_an_encoder_becomes_a_file(run, encoder, tmp_path):
    out = tmp_path / "new" / "encoder.onnx"
    code, printed, errors = run(encoder, "--out", out)
    assert (code, errors) == (0, "")
    assert printed.startswith(f"{out}: 0.1 MB, frames → features_8 B×32×4×4\n  ONNX Runtime ")
    assert printed.endswith(" of the largest value\n")
    assert [path.name for path in out.parent.iterdir()] == ["encoder.onnx"]
    first = out.read_bytes()
    assert onnxruntime.InferenceSession(first).get_inputs()[0].shape == ["batch", 1, 32, 32]

    code, _, errors = run(encoder, "--out", out)
    assert (code, errors) == (2, f"error: {out}: is there already; --overwrite replaces it\n")
    code, printed, _ = run(encoder / "encoder.json", "--out", out, "--overwrite", "--size", 48)
    assert code == 2  # the folder is what is named
    code, printed, _ = run(encoder, "--out", out, "--overwrite", "--size", 48)
    assert (code, "features_8 B×32×6×6" in printed) == (0, True)


def test_a_segmentor_becomes_a_file_and_a_filter_does_not(run, assets, tmp_path):
    code, printed, errors = run(assets["model"], "--out", tmp_path / "model.onnx")
    assert (code, printed) == (2, "")
    assert errors == f"error: {assets['model']}: a VesselnessSegmentor cannot be written as ONNX\n"
    assert not list(tmp_path.iterdir())


def test_cheap_mistakes_are_one_line_without_torch(light_answers, encoder, tmp_path, assets):
    folder = tmp_path / "folder"
    folder.mkdir()
    nothing, out = str(tmp_path / "nothing"), str(tmp_path / "a.onnx")
    damaged = shutil.copytree(encoder, tmp_path / "damaged")
    with (damaged / "encoder.safetensors").open("ab") as stream:
        stream.write(b"\0")
    answers = light_answers(
        ("export_onnx.py", nothing, "--out", out),
        ("export_onnx.py", str(encoder), "--out", str(folder)),
        ("export_onnx.py", str(assets["model"]), "--out", out, "--size", "64"),
        ("export_onnx.py", str(encoder), "--out", out, "--size", "0"),
        ("export_onnx.py", str(encoder), "--out", out, "--size", "50"),
        ("export_onnx.py", str(damaged), "--out", out),
    )
    assert [one.returncode for one in answers] == [2] * 6
    assert answers[0].refusal == (
        f"error: {nothing}: neither a fine-tuned model (model.json) nor an encoder (encoder.json)\n"
    )
    assert answers[1].refusal == f"error: {folder}: is there already; name a file in it\n"
    assert "--size is for encoders; a segmentor keeps" in answers[2].refusal
    assert "--size: '0' is not an integer of 1 or more" in answers[3].stderr
    assert answers[4].refusal == (
        f"error: {encoder}: image size 50 is no multiple of the patch size 8 of the encoder; the "
        "nearest that is: 48\n"
    )
    assert "encoder.safetensors: damaged, or not the weights encoder.json" in answers[5].refusal


def test_a_missing_package_is_named_with_its_command(run, encoder, tmp_path, monkeypatch):
    usual = importlib.util.find_spec
    gone = {"onnxscript"}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name in gone else usual(name)
    )
    code, _, errors = run(encoder, "--out", tmp_path / "a.onnx")
    assert (code, errors) == (
        2,
        'error: onnxscript is not installed; pip install "angio-ssl-bench[onnx]"\n',
    )

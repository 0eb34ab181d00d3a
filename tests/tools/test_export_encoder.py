"""The command line of the export: what it leaves, what it refuses."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import timm

from benchmark.encoders.encoder import export_encoder
from benchmark.nn.backbones.unet import UNetEncoder
from benchmark.nn.vit import VisionTransformer

TOOL = Path(__file__).resolve().parents[2] / "tools" / "export_encoder.py"


@pytest.fixture(name="run")
def _run(run_tool):
    return partial(run_tool, TOOL)


def test_folder_holds_what_a_hub_wants(run, tmp_path):
    export_encoder(tmp_path / "run", VisionTransformer(32, 8, 32, 1, 4), {"title": "MAE"})
    out = tmp_path / "out"
    code, _, errors = run(tmp_path / "run", "--out", out, "--license", "cc-by-4.0")
    assert (code, errors) == (0, "")
    names = sorted(path.name for path in out.iterdir())
    assert names == ["README.md", "config.json", "model.safetensors"]
    assert "license: cc-by-4.0" in (out / "README.md").read_text()
    assert 'local-dir:out"' in (out / "README.md").read_text()
    assert timm.create_model(f"local-dir:{out}", pretrained=True).num_features == 32


def test_bad_input_is_one_line_and_leaves_nothing(run, tmp_path):
    export_encoder(tmp_path / "run", UNetEncoder(4, 4, img_size=64), {})
    code, printed, errors = run(tmp_path / "run", "--out", tmp_path / "out")
    assert (code, printed) == (2, "")
    assert errors.startswith(f"error: {tmp_path / 'run'}: architecture 'unet'")
    assert errors.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run"]

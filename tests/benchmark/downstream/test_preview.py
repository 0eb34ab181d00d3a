"""What fine-tuning reports before it loads torch."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.downstream.preview import preview_cell
from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS

ROOT = CONFIGS.parent


def refused(method: str | Path, work: Path, dataset: str = "dca1", *options: str) -> str:
    with pytest.raises(InputError) as error:
        preview_cell(CONFIGS, method, dataset, None, options, work, None)
    return str(error.value)


def test_what_is_missing_is_named_in_turn(tmp_path: Path) -> None:
    """First the prepared task, then the encoder, each with the command that makes it."""
    task = tmp_path / "downstream" / "dca1"
    assert refused("mae", tmp_path).startswith(f"{task}: no such folder; make it with tools/")
    task.mkdir(parents=True)
    encoder = tmp_path / "mae" / "pretrain"
    made = "make it with tools/train.py configs/mae/pretrain.py"
    assert refused("mae", tmp_path) == f"{encoder}: no encoder of MAE; {made}"
    released = tmp_path / "released" / "dinov3"
    assert refused("dinov3", tmp_path).startswith(f"{released}: no encoder of DINOv3; make it with")
    encoder.mkdir(parents=True)
    (encoder / "encoder.json").touch()
    # UNet is trained from scratch, the Frangi filter not at all.
    for method in ("mae", "unet", "frangi", encoder):
        preview_cell(CONFIGS, method, "dca1", None, [], tmp_path, None)


def test_the_data_may_be_elsewhere(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    preview_cell(CONFIGS, "unet", "dca1", None, [f"data.folder={own}"], tmp_path, None)
    preview_cell(CONFIGS, "unet", "dca1", None, [], tmp_path, own)
    preview_cell(CONFIGS, "unet", "dca1", None, [], tmp_path, None, inputs=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--method", "mea", "--dataset", "dca1"], "mea: no such method"),
        (["--method", "mae", "--dataset", "dca"], "dca: no such dataset in"),
        (["--method", "mae", "--dataset", "dca1", "--protocol", "aaia"], "--protocol aaia: no"),
        (["--method", "mae", "--dataset", "dca1", "--cfg-options", "epoch=1"], "'epochs'?"),
        (["--method", "mae", "--dataset", "dca1", "--work", "nowhere"], "nowhere/downstream/dca1:"),
        (["--encoder", "nowhere", "--dataset", "dca1"], "nowhere"),
    ],
)
def test_the_tool_answers_before_it_loads_torch(arguments: list[str], said: str) -> None:
    program = (
        "import runpy, sys\nsys.modules['torch'] = None\nsys.path.insert(0, 'tools')\n"
        f"sys.argv = ['tools/finetune.py', *{arguments!r}]\n"
        "runpy.run_path('tools/finetune.py', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert re.match(r"error: .*" + re.escape(said), done.stderr)
    assert done.stderr.count("\n") == 1

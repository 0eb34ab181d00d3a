"""The command line of contact sheets, curves and masking ratios."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from benchmark.data.packs import add_anatomy, build_pack
from benchmark.data.sources import open_source
from benchmark.data.tasks import write_task_folder


@pytest.fixture(scope="module")
def pack(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("show") / "pack"
    source = open_source("synthetic", patients=2, videos=1, frames=4, first_frame=2, size=96)
    build_pack(source, path, size=96, progress=False)
    add_anatomy(path, lambda frames, valid: frames < 70, {"rule": "dark"}, progress=False)
    return path


def test_cheap_mistakes_are_answered_at_once(light_answers, pack, tmp_path):
    """Without torch, in one line that names the fix."""

    def show(*words: str, out: str = "x.png") -> tuple[str, ...]:
        return ("show.py", *words, "--out", out)

    def ratio(path: str, *words: str, packs: str = str(pack), out: str = "x.png") -> tuple:
        return show(path, "--masking-ratio", "--packs", packs, *words, out=out)

    mae = "configs/mae/pretrain.py"
    (tmp_path / "empty").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").touch()
    refused = [
        (show(mae, "--masking-ratio"), "name the frame packs with --packs DIR"),
        (ratio(mae, packs="absent"), "absent: no pack; make it with tools/prepare_data.py"),
        (ratio(mae, out="x.jpg"), "x.jpg: a figure must end"),
        (ratio("configs/mea/pretrain.py"), "did you mean 'configs/mae/pretrain.py'?"),
        (ratio(f"{tmp_path}/empty"), "empty: no run.json in it; name a config or the folder"),
        (ratio(mae, "--cfg-options", "epoch=3"), "unknown key 'epoch'; did you mean 'epochs'?"),
        (ratio(mae, "--epoch", "3"), "--epoch: does not go with --masking-ratio"),
        (ratio("configs/amt/pretrain.py"), "train it with tools/train.py configs/amt/pretrain.py"),
        (ratio("configs/hpm/pretrain.py"), "depend on trained weights; train it with tools/"),
        (
            ratio("configs/vasomim/pretrain.py", "--work", str(tmp_path)),
            "segmentor.safetensors: no such file; make it with tools/train.py configs/segmentor",
        ),
        (show(str(pack), "--crops"), "--crops: needs --masking-ratio"),
        (show(str(pack), "--frames", "3"), "--frames: needs --masking-ratio"),
        (ratio(mae, "--corruptions"), "--corruptions: does not go with --masking-ratio"),
        (show(f"{tmp_path}/empty"), "empty: neither a pack, a task nor a run; nothing to draw"),
        (show(f"{tmp_path}/empty", "--corruptions"), "empty: neither a pack, a task nor a run"),
        (
            show(f"{tmp_path}/run", "--corruptions"),
            "a pre-training run; --corruptions draws a pack",
        ),
        (show(str(pack), str(pack)), "a sheet shows one folder; several need --curve TERM"),
    ]
    answers = light_answers(*(command for command, _ in refused))
    for (_, message), answer in zip(refused, answers, strict=True):
        assert message in answer.refusal


def test_masking_ratio_of_two_configs(run_tool, pack, tmp_path):
    configs = [f"configs/{name}/pretrain.py" for name in ("mae", "vasomim_v1")]
    out = tmp_path / "deep" / "ratio.svg"
    options = ("--scale", "tiny", "--crops", "--frames", "1", "--epochs", "3", "--work", tmp_path)
    done = run_tool("show", *configs, "--masking-ratio", "--packs", pack, "--out", out, *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{out}: masking ratio, frames: 1, recipes: 2\n"
    text = out.read_text()
    assert "3 of 10 epochs, seed 0" in text
    assert "Masks of training's random crops, mapped back to the frame." in text


def test_corruptions_of_a_pack_and_of_a_task(run_tool, pack, tmp_path):
    """Seven rows for each frame: name, clean, five severities."""
    out = tmp_path / "sheet.png"
    done = run_tool("show", pack, "--corruptions", "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{out}: 1 frames of {pack}, corruptions: 7\n"
    with Image.open(out) as picture:
        width, height = picture.size
    assert height / width == pytest.approx(7 / 6, rel=0.1)
    source = open_source("synthetic", patients=3, videos=1, frames=4, first_frame=2, size=64)
    task = write_task_folder(source, tmp_path / "task", "segmentation", progress=False)
    done = run_tool("show", task.path, "--corruptions", "--count", 2, "--out", out)
    assert done.stdout.startswith(f"{out}: 2 frames of ")

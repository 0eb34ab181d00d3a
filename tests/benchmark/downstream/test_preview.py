"""What fine-tuning reports before it loads torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.downstream.preview import find_dataset, find_method, preview_cell
from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS
from benchmark.sweep.datasets import read_datasets

ROOT = CONFIGS.parent


def refused(method: str | Path, work: Path, dataset: str = "dca1", *options: str) -> str:
    with pytest.raises(InputError) as error:
        preview_cell(CONFIGS, method, dataset, None, options, work, None)
    return str(error.value)


def test_what_is_missing_is_named_in_turn(tmp_path):
    """First the prepared task, then the encoder, each with the command that makes it."""
    task = tmp_path / "downstream" / "dca1"
    assert refused("mae", tmp_path).startswith(f"{task}: no such folder; make it with tools/")
    task.mkdir(parents=True)
    encoder = tmp_path / "mae" / "pretrain"
    made = "make it with tools/train.py configs/mae/pretrain.py"
    assert refused("mae", tmp_path) == f"{encoder}: no encoder of MAE; {made}"
    run = tmp_path / "analysis" / "vit_l"
    made = "make it with tools/train.py configs/analysis/vit_l.py"
    expected = f"{run}: no encoder of VasoMIM, ViT-L/16; {made}"
    assert refused("analysis-vit_l", tmp_path) == expected
    released = tmp_path / "released" / "dinov3"
    assert refused("dinov3", tmp_path).startswith(f"{released}: no encoder of DINOv3; make it with")
    encoder.mkdir(parents=True)
    (encoder / "encoder.json").touch()
    # UNet is trained from scratch, the Frangi filter not at all.
    for method in ("mae", "unet", "frangi", encoder):
        preview_cell(CONFIGS, method, "dca1", None, [], tmp_path, None)


@pytest.mark.parametrize(
    ("dataset", "tool"),
    [
        ("dca1-5images", "tools/finetune.py --dataset dca1 --label-count 5"),
        ("dca1-2.5pct-lora", "tools/finetune.py --dataset dca1 --label-fraction 0.025 --lora"),
        ("dca1-linear", "tools/evaluate.py linear --dataset dca1"),
        ("dca1-1images-knn", "tools/evaluate.py knn --dataset dca1 --label-count 1"),
        ("dca1-patches-test", "tools/analyse.py representations --dataset dca1 --split test"),
        ("dca1-to-xcav.val", "tools/test.py MODEL --dataset xcav --split val with the model of "
         "tools/finetune.py --dataset dca1"),
        ("dca1-corruptions", "tools/test.py MODEL --corruptions with the model of "
         "tools/finetune.py --dataset dca1"),
    ],
)  # fmt: skip
def test_the_id_of_a_column_leads_to_its_tool(tmp_path, dataset, tool):
    assert refused("unet", tmp_path, dataset) == f"{dataset}: the id of a column; use {tool}"


def test_an_evaluation_of_an_evaluation_leads_to_the_first_one(tmp_path):
    found = refused("unet", tmp_path, "dca1-linear-linear")
    use = "use tools/evaluate.py linear --dataset dca1"
    assert found == f"dca1-linear-linear: more than one kind of evaluation; {use}"


def test_more_images_than_there_are_are_refused_before_anything_else(vessels, tmp_path):
    arguments = (CONFIGS, "unet", "synthetic_v", None, [], tmp_path, vessels.path)
    preview_cell(*arguments, label_counts=(1, 4))
    with pytest.raises(InputError, match="4 images in train, but --label-count 5 asks for more"):
        preview_cell(*arguments, label_counts=(1, 5))


def test_the_data_may_be_elsewhere(tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    preview_cell(CONFIGS, "unet", "dca1", None, [f"data.folder={own}"], tmp_path, None)
    preview_cell(CONFIGS, "unet", "dca1", None, [], tmp_path, own)
    preview_cell(CONFIGS, "unet", "dca1", None, [], tmp_path, None, inputs=False)


def test_datasets_of_the_current_folder_add_to_those_of_the_package(tmp_path, monkeypatch):
    """For tools and lists; a dataset of the package comes first."""
    own = tmp_path / "configs" / "downstream"
    own.mkdir(parents=True)
    (own / "mine.py").write_text(
        '"""Ours."""\n\nfrom mmengine.config import read_base\n\nwith read_base():\n'
        "    from configs._base_.segmentation import *\n"
        'data = dict(folder="{work}/downstream/mine")\n'
    )
    (own / "dca1.py").write_text("")
    assert refused("unet", tmp_path, "mine").startswith("mine: no such dataset in ")
    monkeypatch.chdir(tmp_path)
    assert find_dataset(CONFIGS, "mine") == Path("configs/downstream/mine.py")
    assert find_dataset(CONFIGS, "dca1") == CONFIGS / "downstream" / "dca1.py"
    assert refused("unet", tmp_path, "mime").endswith(", dca1, mine")
    task = f"{tmp_path}/downstream/mine: no such folder; make it with tools/prepare_data.py"
    assert refused("unet", tmp_path, "mine") == task
    (card,) = [card for card in read_datasets(CONFIGS, tmp_path) if card.name == "mine"]
    assert (card.task, card.description) == ("segmentation", "Ours.")
    monkeypatch.chdir(CONFIGS.parent)
    names = [card.name for card in read_datasets(CONFIGS, tmp_path)]
    assert names == sorted({*names})


def test_a_method_by_id_or_path(tmp_path, monkeypatch):
    """A config elsewhere stands for the encoder of its run, which has to exist."""
    monkeypatch.chdir(tmp_path)
    configs, work = ROOT / "configs", tmp_path / "work"
    for name in ("mae", "configs/mae", "configs/mae/pretrain.py", str(configs / "mae")):
        assert find_method(name, configs, work) == "mae"
    assert find_method(str(configs / "frangi"), configs, work) == "frangi"
    assert find_method("configs/analysis/vit_l.py", configs, work) == "analysis-vit_l"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "pretrain.py").write_text("")
    with pytest.raises(InputError, match=r"no encoder; make it with tools/train.py \./mine"):
        find_method("./mine", configs, work)
    (work / "mine" / "pretrain").mkdir(parents=True)
    (work / "mine" / "pretrain" / "encoder.json").write_text("{}")
    assert find_method("./mine", configs, work) == work / "mine" / "pretrain"


def test_the_tool_answers_bad_input_in_one_line_before_it_loads_torch(tmp_path):
    (tmp_path / "downstream" / "dca1").mkdir(parents=True)
    cases = {
        "--method mea --dataset dca1": "mea: no such method",
        "--method analysis-vit_m --dataset dca1": "did you mean 'analysis-vit_l'?",
        "--method mae --dataset dca": "dca: no such dataset in",
        "--method mae --dataset dca1-10pct": "finetune.py --dataset dca1 --label-fraction 0.1",
        "--method mae --dataset dca1 --protocol aaia": "--protocol aaia: no",
        "--method mae --dataset dca1 --cfg-options epoch=1": "'epoch'; did you mean 'epochs'?",
        "--method mae --dataset dca1 --work nowhere": "nowhere/downstream/dca1: no such folder",
        "--method mae --dataset dca1 --data absent": "absent: no such folder",
        f"--method mae --dataset dca1 --work {tmp_path}": "mae/pretrain: no encoder of MAE",
        "--encoder nowhere --dataset dca1": "nowhere",
    }
    program = (
        "import runpy, sys\nsys.modules['torch'] = None\nsys.path.insert(0, 'tools')\n"
        f"for arguments in {list(cases)!r}:\n"
        "    sys.argv = ['tools/finetune.py', *arguments.split()]\n"
        "    try:\n        runpy.run_path('tools/finetune.py', run_name='__main__')\n"
        "    except SystemExit as end:\n        assert end.code == 2\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == len(cases), done.stderr
    for line, said in zip(lines, cases.values()):
        assert line.startswith("error: ")
        assert said in line
    assert [path.name for path in tmp_path.iterdir()] == ["downstream"]

"""Command lines are completed as a shell asks for it: by argcomplete's variables and descriptor."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark import completion
from benchmark.commands import list_commands
from benchmark.method_cards import read_method_cards

ROOT = Path(__file__).resolve().parents[2]
Complete = Callable[..., list[str]]
# What is slow to import cannot be.
COMMAND = """
import sys
sys.modules |= dict.fromkeys(("torch", "numpy", "pandas", "mmengine"))
from benchmark.commands import main
main()
"""


@pytest.fixture
def complete(tmp_path: Path) -> Complete:
    """The completions of a line with the cursor at its end, or before `behind`, from any folder."""

    def run(line: str, behind: str = "", tool: str | None = None) -> list[str]:
        start = [str(ROOT / "tools" / f"{tool}.py")] if tool else ["-c", COMMAND]
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "COMP_LINE": line + behind,
            "COMP_POINT": str(len(line.encode())),
            "_ARGCOMPLETE": "1",
            "_ARGCOMPLETE_IFS": "\n",
            "_ARGCOMPLETE_SHELL": "bash",
        }
        done = subprocess.run(
            ["bash", "-c", '"$@" 8>&1 9>/dev/null 1>/dev/null', "bash", sys.executable, *start],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return [word.strip() for word in done.stdout.split("\n") if word]

    return run


def test_subcommands(complete: Complete) -> None:
    assert complete("angio-ssl ") == list(list_commands())
    assert complete("angio-ssl fine") == ["finetune"]
    assert complete("angio-ssl no_such_tool ") == []
    assert complete("angio-ssl demo ") == []  # a script, whose files are completed by the shell


def test_methods_and_analyses(complete: Complete) -> None:
    ids = [card.method for card in read_method_cards()]
    ids += [f"analysis-{file.stem}" for file in sorted((ROOT / "configs/analysis").glob("*.py"))]
    assert complete("angio-ssl finetune --method ") == ids
    assert complete("finetune.py --method vasomim", tool="finetune") == ["vasomim", "vasomim_v1"]
    assert complete("angio-ssl analyse representations --method mae hp", " --seed 1") == [
        "hpm",
        "hpm_imagenet",
    ]
    assert complete("angio-ssl list --count chex") == ["chexworld", "chexworld_cxr500k"]


def test_methods_that_are_pre_trained(complete: Complete) -> None:
    """By name and by path, for training in one process and in several."""
    assert complete("angio-ssl train d") == ["deblurring_mim", "dino"]  # not dncnn, dinov3
    assert complete("angio-ssl dist-train vasomim_") == ["vasomim_v1"]
    assert complete("angio-ssl train configs/vasomim_") == ["configs/vasomim_v1/"]
    assert complete("angio-ssl train configs/mae/") == ["configs/mae/pretrain.py"]


def test_configs_of_the_user(complete: Complete, tmp_path: Path) -> None:
    (tmp_path / "mine" / "deep").mkdir(parents=True)
    for name in ("pretrain.py", "_base.py", "notes.txt"):
        (tmp_path / "mine" / name).touch()
    assert complete("angio-ssl train mine/") == ["mine/deep/", "mine/pretrain.py"]
    assert complete("angio-ssl train mi") == ["mine/"]
    assert complete("angio-ssl check method mine/p") == ["mine/pretrain.py"]


def test_datasets_of_a_protocol(complete: Complete) -> None:
    downstream = ROOT / "configs" / "downstream"
    names = sorted(file.stem for file in downstream.glob("*.py"))
    assert complete("angio-ssl finetune --method mae --dataset ") == names
    assert complete("test.py MODEL --dataset xc", tool="test") == ["xcad", "xcav"]
    assert complete("angio-ssl finetune --protocol ") == ["aaai"]
    of_aaai = sorted(file.stem for file in (downstream / "aaai").glob("*.py"))
    assert complete("angio-ssl finetune --protocol aaai --dataset ") == of_aaai


def test_datasets_of_the_user(complete: Complete, tmp_path: Path) -> None:
    """In the current folder, beside those of the package."""
    (tmp_path / "configs" / "downstream").mkdir(parents=True)
    (tmp_path / "configs" / "downstream" / "dca_mine.py").touch()
    assert complete("angio-ssl finetune --dataset dc") == ["dca1", "dca_mine"]


def test_methods_of_the_user(complete: Complete, tmp_path: Path) -> None:
    """In the current folder, beside those of the package."""
    (tmp_path / "configs" / "dino_ours").mkdir(parents=True)
    (tmp_path / "configs" / "dino_ours" / "pretrain.py").touch()
    assert complete("angio-ssl train din") == ["dino", "dino_ours"]
    assert complete("angio-ssl finetune --method din") == ["dino", "dinov3", "dino_ours"]


def test_configs_of_a_folder(complete: Complete, tmp_path: Path) -> None:
    """--configs is understood, though it is not shown."""
    for name in ("mine/encoder.py", "downstream/ours.py", "downstream/other/theirs.py"):
        (tmp_path / "lab" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "lab" / name).touch()
    (tmp_path / "lab" / "analysis").mkdir()
    assert complete("angio-ssl finetune --configs lab --method ") == ["mine"]
    assert complete("angio-ssl finetune --configs lab --dataset ") == ["ours"]
    assert complete("angio-ssl finetune --configs lab --protocol ") == ["other"]
    assert complete("angio-ssl finetune --configs nothing --dataset ") == []
    assert "--configs" not in complete("angio-ssl finetune --")


def test_matrices_scales_and_sources(complete: Complete) -> None:
    assert complete("angio-ssl matrix run demo") == ["demo", "demo_ablations"]
    assert complete("angio-ssl train mae --scale ") == ["paper", "small", "tiny", "mini"]
    assert complete("angio-ssl prepare-data xc") == ["xcad", "xcav"]


def test_encoders_and_models(complete: Complete, tmp_path: Path) -> None:
    """Folders that hold one, however deep; others one by one."""
    for name in (
        "work_dirs/mae/pretrain/encoder.json",
        "work_dirs/mae/finetune/dca1/seed0/model.json",
        "work_dirs/dino/pretrain/run.json",
        "work_dirs/packs/cadica/frames.u8",
        "elsewhere/a b/encoder.json",
        ".hidden/encoder.json",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert complete("angio-ssl finetune --encoder ") == [
        *("elsewhere/a\\ b", "work_dirs/mae/pretrain"),
    ]
    assert complete("angio-ssl finetune --encoder work_dirs/") == ["work_dirs/mae/pretrain"]
    assert complete("angio-ssl predict work_dirs/m") == ["work_dirs/mae/finetune/dca1/seed0"]
    assert complete("angio-ssl train mae --packs ") == ["work_dirs/packs/cadica"]
    assert complete("angio-ssl export-encoder work_dirs/") == ["work_dirs/mae/pretrain"]
    assert complete("angio-ssl export-onnx work_dirs/") == [
        *("work_dirs/mae/pretrain", "work_dirs/mae/finetune/dca1/seed0"),
    ]
    assert complete("angio-ssl finetune --encoder work_dirs/dino/") == ["work_dirs/dino/pretrain/"]


def test_protocols_of_the_results(complete: Complete, tmp_path: Path) -> None:
    (tmp_path / "results" / "journal" / "mae").mkdir(parents=True)
    assert complete("angio-ssl leaderboard --results results --protocol ") == ["journal"]
    assert complete("angio-ssl leaderboard --results none --protocol ") == []


def test_a_vast_folder_is_not_searched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where it would take long, its subfolders are offered instead."""
    for number in range(12):
        (tmp_path / "packs" / str(number)).mkdir(parents=True)
    (tmp_path / "packs" / "11" / "encoder.json").touch()
    monkeypatch.chdir(tmp_path)
    encoders = completion.FoldersWith("encoder.json")
    assert encoders("packs/") == ["packs/11"]
    monkeypatch.setattr(completion, "_MOST_FOLDERS", 5)
    assert encoders("packs/1") == ["packs/1/", "packs/10/", "packs/11/"]


@pytest.mark.parametrize(
    "file",
    [
        "benchmark/commands.py",
        "benchmark/__main__.py",
        *sorted(f"tools/{path.name}" for path in list_commands().values() if path.suffix == ".py"),
    ],
)
def test_what_argcomplete_may_run_says_so(file: str) -> None:
    """In its first 1024 bytes; each tool is executable by its path."""
    assert b"PYTHON_ARGCOMPLETE_OK" in (ROOT / file).read_bytes()[:1024]
    assert file.startswith("benchmark/") or os.access(ROOT / file, os.X_OK)

"""The installed package holds all that a clone runs on, and works from any folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("benchmark", "configs", "leaderboard", "methods", "tools")
# What setuptools would put into a wheel, without building one.
LISTING = """
import os
from setuptools import Distribution
distribution = Distribution({"script_name": "setup.py"})
distribution.parse_config_files()
build = distribution.get_command_obj("build_py")
build.ensure_finalized()
for *_, file in build.find_all_modules():
    print(file)
for _, folder, _, names in build.data_files:
    print(*(os.path.join(folder, name) for name in names), sep="\\n")
"""
MINE = '''
"""A config of a user."""
from mmengine.config import read_base

with read_base():
    from configs.mae.pretrain import *

epochs = 7
'''


@pytest.fixture(scope="module")
def tracked() -> set[str]:
    """The files of the packages that git tracks, without the committed results."""
    command = ["git", "ls-files", "-z", *PACKAGES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a checkout")
    names = filter(None, done.stdout.split("\0"))
    results = "leaderboard/results/"
    return {name for name in names if not name.startswith(results) and (ROOT / name).is_file()}


def test_the_wheel_holds_every_tracked_file(tracked: set[str]) -> None:
    """Modules and configs, tables, templates, scripts, profiles; and no results."""
    command = [sys.executable, "-c", LISTING]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    packed = set(done.stdout.split())
    assert tracked - packed == set()
    assert {Path(name).suffix for name in packed} == {Path(name).suffix for name in tracked}
    assert not [name for name in packed if name.startswith(("leaderboard/results", "tests"))]


def test_the_readme_says_the_python_versions_once() -> None:
    """From the oldest that is accepted to the newest that is declared."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    declared = re.findall(r'"Programming Language :: Python :: 3\.(\d+)"', project)
    assert f'requires-python = ">=3.{declared[0]}"' in project
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"Python 3\.(\d+)(?:–3\.(\d+))?", readme) == [(declared[0], declared[-1])]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without network from a copy, and unpacked as pip would."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / "clone" / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "clone")
    command = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--no-index", "--wheel-dir", str(folder)],
        cwd=folder / "clone",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def angio_ssl(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Run the installed command from a folder of its own, with a config of the user in it."""
    cwd = tmp_path_factory.mktemp("lab")
    (cwd / "mine").mkdir()
    (cwd / "mine" / "pretrain.py").write_text(MINE)

    def run(*words: str, start: tuple[str, ...] = ("-m", "benchmark")) -> str:
        done = subprocess.run(
            [sys.executable, *start, *words],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.mark.slow
def test_an_installed_package_knows_what_a_clone_knows(
    tracked: set[str], installed: Path, angio_ssl: Callable[..., str], run_tool: Callable
) -> None:
    """The same files; methods and a config print the same, by name, path, and as a user's base."""
    assert not [name for name in tracked if not (installed / name).is_file()]
    assert [*installed.glob("*.dist-info/entry_points.txt")]
    assert angio_ssl("list", "methods") == run_tool("list", "methods").stdout
    printed = angio_ssl("train", "mae", "--print-config", "--scale", "tiny")
    named = run_tool("train", ROOT / "configs/mae/pretrain.py", "--print-config", "--scale", "tiny")
    assert printed == named.stdout
    mine = angio_ssl("train", "mine", "--print-config", "--scale", "paper")
    assert '"epochs": 7' in mine or "epochs = 7" in mine


@pytest.mark.slow
def test_a_lab_runs_the_installed_command(angio_ssl: Callable[..., str]) -> None:
    """Pack, pre-training, fine-tuning, prediction, board; then the Python blocks of the README."""
    few = ("size=96", "patients=6", "videos=1", "frames=5", "first_frame=3")
    work = "work_dirs/demo"
    tiny = ("--scale", "tiny", "--work", work)
    pack = ("prepare-data", "synthetic", "--out", f"{work}/packs/synthetic", "--size", "96")
    angio_ssl(*pack, "--option", *few)
    task = ("prepare-data", "synthetic", "--as", "segmentation", "--out")
    angio_ssl(*task, f"{work}/downstream/synthetic_v", "--option", *few, "seed=1")
    short = ("--cfg-options", "epochs=1", "batch_size=2")
    angio_ssl("train", "mae", *tiny, "--packs", f"{work}/packs/synthetic", *short)
    cell = ("--dataset", "synthetic_v", *tiny, "--cfg-options", "epochs=1")
    angio_ssl("finetune", "--method", "configs/mae", *cell)
    run, frames = f"{work}/mae/finetune/synthetic_v/seed0", f"{work}/downstream/synthetic_v/images"
    assert "predicted by MAE" in angio_ssl("predict", run, frames, "--out", "found")
    assert "MAE" in angio_ssl("leaderboard", "--results", f"{work}/results", "--out", work)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    program = "".join(re.findall(r"```python\n(.*?)```", readme, re.DOTALL))
    shapes = "print(features.shape[0], mask.shape == frames[0].shape, list(means.index))"
    said = angio_ssl(start=("-c", program + shapes)).splitlines()[-1]
    assert said == "4 True ['MAE']"

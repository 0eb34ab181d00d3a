"""The documents say what is: generated tables are current, and what they teach works as written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.checks.contract import CHECKS

ROOT = Path(__file__).resolve().parents[1]


def tool(name: str, *arguments: str | Path) -> str:
    command = [sys.executable, str(ROOT / "tools" / f"{name}.py"), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("document", "command"),
    [
        ("docs/methods.md", ("list", "methods")),
        ("README.md", ("leaderboard", "--published", "--format", "md", "--out", "OUT")),
    ],
)
def test_generated_tables_are_current(
    document: str, command: tuple[str, ...], tmp_path: Path
) -> None:
    """Writing them again changes nothing."""
    copy = tmp_path / "document.md"
    shutil.copy(ROOT / document, copy)
    command = tuple(str(tmp_path) if word == "OUT" else word for word in command)
    tool(*command, "--write", copy)
    assert copy.read_text() == (ROOT / document).read_text()


@pytest.mark.parametrize(
    "document", ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
)
def test_documents_name_what_exists(document: str) -> None:
    """Relative links and named files are there; a config the page itself creates may be absent."""
    text = (ROOT / document).read_text(encoding="utf-8")
    named = set(re.findall(r"(?:tools|configs|methods|docs)/[\w./-]+\.(?:py|sh|md|png)", text))
    created = set(re.findall(r"`((?:configs|methods)/[\w/]+\.py)`[^`]*:\n\n```python", text))
    links = {
        str(((ROOT / document).parent / link).resolve().relative_to(ROOT))
        for link in re.findall(r"\]\((?!https?:)([\w./-]+)", text)
        # Where code hosts keep the issues of a project, seen from its front page.
        if link != "../../issues"
    }
    missing = {path for path in (named | links) - created if not (ROOT / path).exists()}
    assert not missing


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the project with the files of docs/add_a_method.md, as printed there."""
    clone = tmp_path_factory.mktemp("clone")
    for folder in ("benchmark", "methods", "configs", "leaderboard", "tools"):
        shutil.copytree(ROOT / folder, clone / folder, ignore=shutil.ignore_patterns("*.pyc"))
    page = (ROOT / "docs" / "add_a_method.md").read_text(encoding="utf-8")
    blocks = r"`((?:configs|methods)/[\w/]+\.py)`[^`]*:\n\n```python\n(.*?)```"
    written = re.findall(blocks, page, re.DOTALL)
    assert [name for name, _ in written] == [
        "configs/vessel_mae/pretrain.py",
        "methods/noisy_mae.py",
        "configs/noisy_mae/pretrain.py",
    ]
    for name, content in written:
        assert not (clone / name).exists()
        (clone / name).parent.mkdir(exist_ok=True)
        (clone / name).write_text(content, encoding="utf-8")
    return clone


def test_the_method_file_of_the_page_keeps_the_contract(taught: Path) -> None:
    """`tools/check.py method`, as printed there: all checks, and all passed."""
    command = [sys.executable, "tools/check.py", "method", "configs/noisy_mae/pretrain.py"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=taught, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("pass  ") == len(CHECKS)
    assert "Noisy MAE" in done.stdout


def test_add_a_method_with_one_config(taught: Path, tmp_path: Path) -> None:
    """The config file of docs/add_a_method.md gives a row on a board.

    Listed, pre-trained, exported, fine-tuned through the same heads and ranked, without touching
    any other file.
    """
    configs = taught / "configs"
    assert "Vessel MAE" in tool("list", "methods", "--configs", configs)

    work = tmp_path / "work"
    pack, data = work / "packs" / "synthetic", work / "downstream" / "synthetic_v"
    few = ["size=96", "patients=3", "videos=1", "frames=5", "first_frame=3"]
    tool("prepare_data", "synthetic", "--out", pack, "--size", 96, "--option", *few)
    tool(
        *("prepare_data", "synthetic", "--as", "segmentation", "--out", data),
        *("--option", *few, "seed=1"),
    )
    tool("extract_anatomy", pack, "--border", 4)
    scale = ["--scale", "tiny", "--work", work]
    log = tool(
        *("train", configs / "vessel_mae" / "pretrain.py", *scale, "--packs", pack),
        *("--cfg-options", "epochs=2", "batch_size=2", "method.encoder.depth=2"),
    )
    assert "vessel_share" in log
    for method in ("vessel_mae", "frangi"):
        tool(
            *("finetune", "--method", method, "--dataset", "synthetic_v", "--seed", 0, 1, *scale),
            *("--configs", configs, "--cfg-options", "epochs=1"),
        )
    board = tool("leaderboard", "--results", work / "results", "--out", work)
    first = (work / "leaderboard.md").read_bytes()
    assert "Vessel MAE" in board
    assert b"Frangi filter" in first
    tool("leaderboard", "--results", work / "results", "--out", work)
    assert (work / "leaderboard.md").read_bytes() == first

"""Documents are up to date: generated tables are current, links work, and tutorials run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import methods
from benchmark.checks.contract import CHECKS
from benchmark.registry import METHODS

ROOT = Path(__file__).resolve().parents[1]
FEW = ("size=96", "patients=3", "videos=1", "frames=5", "first_frame=3")
SHORT = ("--cfg-options", "epochs=2", "batch_size=2", "method.encoder.depth=2")


@pytest.fixture
def tool(run_tool: Callable, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run a tool from the root of the project, which must succeed; returns its output."""
    monkeypatch.chdir(ROOT)

    def run(name: str, *arguments: str | Path | float) -> str:
        code, out, err = run_tool(name, *arguments)
        assert code == 0, err
        return out

    return run


@pytest.mark.parametrize(
    ("document", "command"),
    [
        ("docs/methods.md", ("list", "methods")),
        ("docs/scaling.md", ("bench", "scaling")),
        ("README.md", ("leaderboard", "--published", "--format", "md", "--out", "OUT")),
        *(
            (
                "README.md",
                (
                    *("leaderboard", "--results", f"leaderboard/results/{name}"),
                    *("--format", "md", "--out", "OUT", "--marker", name),
                ),
            )
            for name in ("reference", "reference_real")
        ),
    ],
)
def test_generated_tables_are_current(
    document: str, command: tuple[str, ...], tmp_path: Path, tool: Callable
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
    """Relative links and named files exist, except for configs that the page itself creates."""
    text = (ROOT / document).read_text(encoding="utf-8")
    named = set(
        re.findall(
            r"(?<![\w/])(?:tools|configs|methods|docs|tests)/[\w./-]+\.(?:py|sh|md|png)", text
        )
    )
    created = set(re.findall(r"`((?:configs|methods)/[\w/]+\.py)`[^`]*:\n\n```python", text))
    links = {
        str(((ROOT / document).parent / link).resolve().relative_to(ROOT))
        for link in re.findall(r"\]\((?!https?:)([\w./-]+)", text)
        # Issues of the project, relative to its front page on a code host.
        if link != "../../issues"
    }
    missing = {path for path in (named | links) - created if not (ROOT / path).exists()}
    assert not missing


def test_no_file_holds_an_unresolved_merge() -> None:
    """Documents and configs are not compiled by anything else that would notice."""
    rooms = ("benchmark", "configs", "docs", "leaderboard", "methods", "tests", "tools")
    files = [path for room in rooms for path in (ROOT / room).rglob("*.*")] + [*ROOT.glob("*.*")]
    texts = [path for path in files if path.suffix in (".md", ".py", ".sh", ".csv", ".toml")]
    assert len(texts) > 300
    marked = r"^(?:<{7} .*|={7}|>{7} .*)$"
    assert not [path for path in texts if re.search(marked, path.read_text("utf-8"), re.M)]


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the project with the files of docs/add_a_method.md, as printed there."""
    clone = tmp_path_factory.mktemp("clone")
    for folder in ("benchmark", "methods", "configs", "leaderboard", "tools"):
        shutil.copytree(ROOT / folder, clone / folder)
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


@pytest.fixture
def pack(tool: Callable, tmp_path: Path) -> Path:
    """A pack of a few frames, with vessel masks."""
    pack = tmp_path / "work" / "packs" / "synthetic"
    tool("prepare_data", "synthetic", "--out", pack, "--size", 96, "--option", *FEW)
    tool("extract_anatomy", pack, "--border", 4)
    return pack


@pytest.mark.slow
def test_the_method_file_of_the_page_satisfies_the_contract(taught: Path) -> None:
    """`tools/check.py method` passes all checks, as printed on the page."""
    command = [sys.executable, "tools/check.py", "method", "configs/noisy_mae/pretrain.py"]
    done = subprocess.run(command, cwd=taught, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("pass  ") == len(CHECKS)
    assert "Noisy MAE" in done.stdout


def test_add_a_method_with_a_method_file(
    taught: Path, pack: Path, tool: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Method file and config of docs/add_a_method.md yield a run and an exported encoder."""
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(taught / "methods")])
    monkeypatch.setattr(METHODS, "_module_dict", METHODS.module_dict.copy())
    work = pack.parents[1]
    config = taught / "configs" / "noisy_mae" / "pretrain.py"
    options = ("--scale", "tiny", "--work", work, "--packs", pack, *SHORT)
    assert "Noisy MAE" in tool("train", config, *options)
    assert "Noisy MAE" in (work / "noisy_mae" / "pretrain" / "encoder.json").read_text()
    del sys.modules["methods.noisy_mae"], methods.noisy_mae


def test_add_a_method_with_one_config(
    taught: Path, pack: Path, tool: Callable, tmp_path: Path
) -> None:
    """The config of docs/add_a_method.md yields a row on a board.

    Listed, pre-trained, exported, fine-tuned through the same heads and ranked, without touching
    any other file.
    """
    configs = taught / "configs"
    assert "Vessel MAE" in tool("list", "methods", "--configs", configs)

    work = tmp_path / "work"
    data = work / "downstream" / "synthetic_v"
    tool(
        *("prepare_data", "synthetic", "--as", "segmentation", "--out", data),
        *("--option", *FEW, "seed=1"),
    )
    scale = ["--scale", "tiny", "--work", work]
    config = configs / "vessel_mae" / "pretrain.py"
    assert "vessel_share" in tool("train", config, *scale, "--packs", pack, *SHORT)
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

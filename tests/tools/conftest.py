"""Running a command line in the process of the tests: its libraries take seconds to load."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import faults
import pytest
import torch

from benchmark.anatomy.pack import extract
from benchmark.data.packs import build_pack
from benchmark.data.sources import open_source
from benchmark.data.tasks import write_task_folder
from benchmark.encoders.encoder import export_encoder
from benchmark.nn.vit import VisionTransformer
from leaderboard.bench import make_results

ROOT = Path(__file__).resolve().parents[2]


class Result(NamedTuple):
    """What a command line that has ended leaves."""

    returncode: int
    stdout: str
    stderr: str


_ANSWERS = """
import contextlib, io, json, runpy, sys
sys.path.insert(0, "tools")
for tool, *arguments in json.load(sys.stdin):
    sys.argv, out, err = [tool, *arguments], io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_path(f"tools/{tool}", run_name="__main__")
        except SystemExit as end:
            code = end.code
    heavy = {"torch", "mmengine", "mmseg", "timm", "pandas", "pyarrow", "scipy", "matplotlib"}
    assert not heavy & sys.modules.keys(), (tool, arguments, heavy & sys.modules.keys())
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""


@pytest.fixture(scope="session")
def light_answers() -> Callable[..., list[Result]]:
    """What tools say to command lines, one after the other in a process that may load no torch."""

    def answers(*commands: tuple[str, ...]) -> list[Result]:
        start = [sys.executable, "-c", _ANSWERS]
        text = json.dumps(commands)
        done = subprocess.run(start, input=text, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return [Result(*json.loads(line)) for line in done.stdout.splitlines()]

    return answers


@pytest.fixture
def refuse_listing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, int], None]:
    """Let the system refuse to list a folder with an error number, whoever runs the tests."""

    def refuse(folder: Path, code: int) -> None:
        for name in ("scandir", "listdir"):
            usual = getattr(os, name)

            def call(path: object = ".", usual: Callable = usual) -> object:
                if Path(os.fspath(path)).absolute() == folder.absolute():
                    raise OSError(code, os.strerror(code), str(folder))
                return usual(path)

            monkeypatch.setattr(os, name, call)

    return refuse


@pytest.fixture
def run_tool(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """A tool of this path with these arguments, to its end."""

    def run(tool: Path, *arguments: str | Path) -> Result:
        monkeypatch.syspath_prepend(tool.parent)
        monkeypatch.setattr(sys, "argv", [str(tool), *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(tool), run_name="__main__")
        return Result(end.value.code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def assets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One of everything that a tool reads."""
    folder = tmp_path_factory.mktemp("assets")
    options = dict(option.split("=") for option in faults.SYNTHETIC)
    build_pack(open_source("synthetic", **options), folder / "pack", size=64, progress=False)
    extract(str(folder / "pack"), border=4)
    others = {**options, "seed": "5", "test_fraction": "0.4"}  # other patients
    source = open_source("synthetic", **others)
    write_task_folder(source, folder / "task", "segmentation", progress=False)
    encoder = VisionTransformer(32, 8, 32, 1, 4)
    export_encoder(folder / "run", encoder, {"title": "MAE"})
    lines = ('{"step": 1, "epoch": 1, "loss": 2.0}', '{"step": 2, "epoch": 2, "loss": 1.0}')
    (folder / "run" / "metrics.jsonl").write_text("\n".join((*lines, "")))
    torch.save({"model": encoder.state_dict()}, folder / "mae.pth")
    matrix = folder / "matrix.py"
    matrix.write_text(
        "title = 'Test'\nscale = 'tiny'\nwork = 'work'\nmethods = ('frangi',)\n"
        "datasets = ('synthetic_v',)\nseeds = (0,)\nreference = 'frangi'\n"
    )
    make_results(folder / "results", 2, 2, 1)
    names = {name: folder / name for name in ("pack", "task", "run", "results")}
    return {**names, "released": folder / "mae.pth", "matrix": matrix}


@pytest.fixture
def call(run_tool, assets: dict[str, Path], tmp_path: Path, monkeypatch):
    """Run a command of `faults` with `{out}` as given; returns what it said."""
    (tmp_path / "spare").mkdir()
    monkeypatch.chdir(ROOT)

    def run(command: tuple[str, ...], out: Path):
        tool, *arguments = command
        places = {**assets, "out": out, "spare": tmp_path / "spare"}
        return run_tool(ROOT / "tools" / f"{tool}.py", *(a.format_map(places) for a in arguments))

    return run

"""What the tools read, and folders that cannot be listed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import faults
import pytest
import torch

from benchmark.anatomy.pack import extract
from benchmark.data.packs import build_pack
from benchmark.data.sources import open_source
from benchmark.data.tasks import write_task_folder
from benchmark.downstream.cell import BenchmarkCell
from benchmark.downstream.compose import compose
from benchmark.downstream.finetune import run_cell
from benchmark.encoders.encoder import export_encoder
from benchmark.method_cards import CONFIGS
from benchmark.nn.vit import VisionTransformer
from leaderboard.bench import make_results

ROOT = Path(__file__).resolve().parents[2]


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
    _score_filter(folder / "task", folder / "filter")
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
    names["model"] = folder / "filter" / "seed0"
    return {**names, "released": folder / "mae.pth", "matrix": matrix}


def _score_filter(task: Path, work: Path) -> None:
    """A run of a model without training, with the model it leaves."""
    options = [f"data.folder={task}"]
    config, card = compose(CONFIGS, "frangi", "synthetic_v", "tiny", options, work)
    run_cell(BenchmarkCell(config, card, "synthetic_v", 0, work / "seed0", work / "results"))


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

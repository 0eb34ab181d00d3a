"""The command line of fine-tuning: what goes wrong is one line and exit code 2."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.downstream.compose import compose
from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS, read_method_cards
from benchmark.results import read_record

TOOL = CONFIGS.parent / "tools" / "finetune.py"
METHOD = ("--scale", "tiny", "--method", "mae", "--dataset", "synthetic_v")

Tool = Callable[..., int]


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Tool:
    """The tool in this process, which has the libraries loaded; returns the exit code."""

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", [TOOL.name, *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(TOOL), run_name="__main__")
        return int(end.value.code or 0)

    monkeypatch.syspath_prepend(str(TOOL.parent))
    return run


def test_a_label_fraction_is_a_data_set_of_its_own(tool, tmp_path, vessels, export_vit, sizes):
    """One of two patients: half of the frames, under a name of its own on the board."""
    export_vit(tmp_path / "mae" / "pretrain")
    options = (*METHOD, "--data", vessels.path, "--work", tmp_path, "--label-fraction", "0.5")
    settings = ("--cfg-options", "epochs=1", "batch_size=2", *sizes)
    assert tool(*options, *settings) == 0
    (record,) = (tmp_path / "results").rglob("seed0.json")
    assert record.parent.name == "synthetic_v-50pct"
    assert read_record(record).config["label_fraction"] == 0.5
    assert tool(*options[:-1], "1.5", *settings) == 2


def test_the_known_names_are_named(tmp_path):
    with pytest.raises(InputError) as caught:
        compose(CONFIGS, "vaso", "dca1", "tiny", [], tmp_path)
    assert all(card.method in str(caught.value) for card in read_method_cards())
    with pytest.raises(InputError, match=r"known: .*dca1.*synthetic_v"):
        compose(CONFIGS, "mae", "dca", "tiny", [], tmp_path)


def test_seeds_are_run_one_after_the_other_and_kept_replaced_or_refused(
    tool, tmp_path, vessels, capsys
):
    arguments = ("--scale", "tiny", "--method", "frangi", "--dataset", "synthetic_v", "--seed")
    places = ("--work", tmp_path, "--data", vessels.path, "--results", tmp_path / "board")
    assert tool(*arguments, 3, 1, *places) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": dsc")[0] for line in lines] == [
        "Frangi filter · synthetic_v · seed 3",
        "Frangi filter · synthetic_v · seed 1",
    ]
    folder = tmp_path / "board" / "demo" / "frangi" / "synthetic_v"
    records = [read_record(folder / f"seed{seed}.json") for seed in (1, 3)]
    assert [record.seed for record in records] == [1, 3]
    # Nothing is random about a filter.
    assert records[0].metrics == records[1].metrics
    assert tool(*arguments, 1, *places) == 0
    assert capsys.readouterr().out.endswith("seed 1: done already\n")
    # Existing records are refused before anything is run, kept, or replaced.
    path = folder / "seed1.json"
    before = path.read_bytes()
    assert tool(*arguments, 0, 1, *places, "--overwrite", "never") == 2
    assert "seed1.json: there already" in capsys.readouterr().err
    assert not (folder / "seed0.json").exists(), "seed 0 comes first and was not run"
    assert tool(*arguments, 1, *places, "--overwrite", "only-missing") == 0
    assert path.read_bytes() == before
    for word in ((), ("always",)):
        assert tool(*arguments, 1, *places, "--overwrite", *word) == 0
        assert "done already" not in capsys.readouterr().out.splitlines()[-1]
        assert read_record(path).command.endswith(" ".join(("--overwrite", *word)))


def test_seeds_of_one_process_are_those_of_a_process_each(
    tool, tmp_path, vessels, export_vit, sizes
):
    """Frames decoded for the first seed are used by the second, which gives the same numbers."""
    export_vit(tmp_path / "mae" / "pretrain")
    arguments = [
        *("--scale", "tiny", "--method", "mae", "--dataset", "synthetic_v", "--work", tmp_path),
        *("--data", vessels.path, "--cfg-options", "epochs=16", "batch_size=2", "base_lr=0.01"),
        *sizes,
    ]
    assert tool(*arguments, "--results", tmp_path / "together", "--seed", 0, 1) == 0
    (tmp_path / "mae" / "finetune").rename(tmp_path / "first")
    command = [sys.executable, str(CONFIGS.parent / "tools" / "finetune.py"), *map(str, arguments)]
    command += ["--results", str(tmp_path / "alone"), "--seed", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    place = Path("demo") / "mae" / "synthetic_v"
    records = [
        read_record(tmp_path / side / place / "seed1.json") for side in ("together", "alone")
    ]
    values = [{n: m.value for n, m in record.metrics.items()} for record in records]
    assert values[0] == values[1]
    assert values[0]["dsc"] > 0
    scores = [
        (tmp_path / side / place / "seed1.csv").read_bytes() for side in ("together", "alone")
    ]
    assert scores[0] == scores[1]


def test_the_resolved_config_can_be_printed(tool, tmp_path, capsys):
    assert tool(*METHOD, "--work", tmp_path, "--cfg-options", "epochs=7", "--print-config") == 0
    output = capsys.readouterr().out
    assert '"epochs": 7' in output
    assert f'"folder": "{tmp_path / "mae" / "pretrain"}"' in output
    assert list(tmp_path.iterdir()) == []


def test_the_cpu_can_be_asked_for(gpu, tool, tmp_path, vessels, export_vit, sizes):
    """With a GPU that torch only believes in, anything else would fail."""
    export_vit(tmp_path / "mae" / "pretrain")
    options = (*METHOD, "--data", vessels.path, "--work", tmp_path, "--device", "cpu")
    assert tool(*options, "--cfg-options", "epochs=1", "batch_size=2", *sizes) == 0
    (path,) = (tmp_path / "results").rglob("seed0.json")
    record = read_record(path)
    assert (record.device, record.precision) == ("cpu", "fp32")

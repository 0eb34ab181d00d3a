"""The command line of fine-tuning: what goes wrong is one line and exit code 2."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from benchmark.downstream.compose import compose
from benchmark.downstream.segmentation import dataset
from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS, read_method_cards
from benchmark.results import read_record

TOOL = CONFIGS.parent / "tools" / "finetune.py"
METHOD = ("--scale", "tiny", "--method", "mae", "--dataset", "synthetic_v")


@pytest.fixture
def tool(run_tool):
    return partial(run_tool, TOOL)


def test_a_label_fraction_is_a_data_set_of_its_own(tool, tmp_path, vessels, export_vit, sizes):
    """One of two patients: half of the frames, under a name of its own on the board."""
    export_vit(tmp_path / "mae" / "pretrain")
    options = (*METHOD, "--data", vessels.path, "--work", tmp_path, "--label-fraction", "0.5")
    settings = ("--cfg-options", "epochs=1", "batch_size=2", *sizes)
    assert tool(*options, *settings).returncode == 0
    (record,) = (tmp_path / "results").rglob("seed0.json")
    assert record.parent.name == "synthetic_v-50pct"
    assert read_record(record).config["label_fraction"] == 0.5
    assert tool(*options[:-1], "1.5", *settings).returncode == 2
    record.unlink()
    filtered = ("--scale", "tiny", "--method", "frangi", "--dataset", "synthetic_v", *options[6:10])
    assert tool(*filtered, "--cfg-options", "label_fraction=0.5").returncode == 0
    (record,) = (tmp_path / "results").rglob("seed0.json")
    assert record.parent.name == "synthetic_v-50pct"


def test_the_known_names_are_named(tmp_path):
    with pytest.raises(InputError) as caught:
        compose(CONFIGS, "vaso", "dca1", "tiny", [], tmp_path)
    assert all(card.method in str(caught.value) for card in read_method_cards())
    with pytest.raises(InputError, match=r"known: .*dca1.*synthetic_v"):
        compose(CONFIGS, "mae", "dca", "tiny", [], tmp_path)


def test_seeds_are_run_one_after_the_other_and_kept_replaced_or_refused(tool, tmp_path, vessels):
    arguments = ("--scale", "tiny", "--method", "frangi", "--dataset", "synthetic_v", "--seed")
    places = ("--work", tmp_path, "--data", vessels.path, "--results", tmp_path / "board")
    done = tool(*arguments, 3, 1, *places)
    assert done.returncode == 0
    assert [line.partition(": dsc")[0] for line in done.stdout.splitlines()] == [
        "Frangi filter · synthetic_v · seed 3",
        "Frangi filter · synthetic_v · seed 1",
    ]
    folder = tmp_path / "board" / "demo" / "frangi" / "synthetic_v"
    records = [read_record(folder / f"seed{seed}.json") for seed in (1, 3)]
    assert [record.seed for record in records] == [1, 3]
    # Nothing is random about a filter.
    assert records[0].metrics == records[1].metrics
    assert tool(*arguments, 1, *places).stdout.endswith("seed 1: done already\n")
    # Existing records are refused before anything is run, kept, or replaced.
    path = folder / "seed1.json"
    before = path.read_bytes()
    done = tool(*arguments, 0, 1, *places, "--overwrite", "never")
    assert "seed1.json: there already" in done.refusal
    assert not (folder / "seed0.json").exists(), "seed 0 comes first and was not run"
    assert tool(*arguments, 1, *places, "--overwrite", "only-missing").returncode == 0
    assert path.read_bytes() == before
    for word in ((), ("always",)):
        done = tool(*arguments, 1, *places, "--overwrite", *word)
        assert (done.returncode, "done already" in done.stdout) == (0, False)
        assert read_record(path).command.endswith(" ".join(("--overwrite", *word)))


def test_seeds_that_share_decoded_frames_are_those_that_do_not(
    tool, tmp_path, vessels, export_vit, sizes, monkeypatch
):
    """Frames decoded for the first seed are used by the second, which gives the same numbers."""
    export_vit(tmp_path / "mae" / "pretrain")
    settings = ("epochs=16", "batch_size=2", "base_lr=0.01", *sizes)
    arguments = (*METHOD, "--work", tmp_path, "--data", vessels.path, "--cfg-options", *settings)
    place = Path("demo") / "mae" / "synthetic_v" / "seed1.json"
    paths = []
    for name, seeds in (("together", (0, 1)), ("alone", (1,))):
        monkeypatch.setattr(dataset, "_PREPARED", {})
        done = tool(*arguments, "--results", tmp_path / name, "--seed", *seeds)
        assert done.returncode == 0, done.stderr
        (tmp_path / "mae" / "finetune").rename(tmp_path / f"{name} runs")
        paths.append(tmp_path / name / place)
    one, two = map(read_record, paths)
    assert one.metrics == two.metrics
    assert one.metrics["dsc"].value > 0
    tables = [path.with_suffix(".csv").read_bytes() for path in paths]
    assert tables[0] == tables[1]


def test_the_resolved_config_can_be_printed(tool, tmp_path):
    arguments = ("--work", tmp_path, "--cfg-options", "epochs=7", "--print-config")
    output = tool(*METHOD, *arguments).stdout
    assert "\nepochs = 7\n" in output
    assert f'folder="{tmp_path / "mae" / "pretrain"}"' in output
    assert list(tmp_path.iterdir()) == []


def test_the_cpu_can_be_asked_for(gpu, tool, tmp_path, vessels, export_vit, sizes):
    """With a GPU that torch only believes in, anything else would fail."""
    export_vit(tmp_path / "mae" / "pretrain")
    options = (*METHOD, "--data", vessels.path, "--work", tmp_path, "--device", "cpu")
    assert tool(*options, "--cfg-options", "epochs=1", "batch_size=2", *sizes).returncode == 0
    (path,) = (tmp_path / "results").rglob("seed0.json")
    record = read_record(path)
    assert (record.device, record.precision) == ("cpu", "fp32")

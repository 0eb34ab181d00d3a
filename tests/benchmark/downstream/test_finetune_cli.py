"""The command line of fine-tuning: what goes wrong is one line and exit code 2."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch

from benchmark.data.tasks.folder import labelled
from benchmark.downstream.compose import compose
from benchmark.downstream.segmentation import dataset
from benchmark.encoders.encoder import export_encoder
from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS, read_method_cards
from benchmark.results import read_record
from benchmark.training.config import to_plain

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


def test_numbers_of_labels_are_columns_of_their_own(tool, tmp_path, vessels, export_vit, sizes):
    """Two counts and two seeds: four records, each of as many steps as with all four images."""
    export_vit(tmp_path / "mae" / "pretrain")
    options = (*METHOD, "--data", vessels.path, "--work", tmp_path, "--seed", 0, 1)
    settings = ("--cfg-options", "epochs=1", "batch_size=2", "keep_checkpoints=1", *sizes)
    assert tool(*options, "--label-count", 1, 3, *settings).returncode == 0
    records = {path.parent.name: [] for path in (tmp_path / "results").rglob("seed*.json")}
    assert set(records) == {"synthetic_v-1images", "synthetic_v-3images"}
    for path in sorted((tmp_path / "results").rglob("seed*.json")):
        record = read_record(path)
        count = int(record.dataset.removeprefix("synthetic_v-").removesuffix("images"))
        assert record.config["label_count"] == count
        assert record.seeds["labels"] == record.seed
        assert record.n_images == len(vessels.splits["test"])
        run = tmp_path / "mae" / "finetune" / record.dataset / f"seed{record.seed}"
        assert torch.load(run / "epoch_1.pth", weights_only=True)["step"] == 2
        drawn = [item["stem"] for item in labelled(vessels, "train", count=count, seed=record.seed)]
        assert f"labelled images: {', '.join(drawn)}\n" in (run / "train.log").read_text()
    # The option of the config says the same.
    done = tool(*options, *settings, "label_count=3")
    assert done.stdout.count("done already") == 2
    done = tool(*options, "--label-count", 1, 5, *settings)
    assert "4 images in train, but --label-count 5 asks for more" in done.refusal
    done = tool(*options, "--label-count", 1, *settings, "label_fraction=0.5")
    assert "label_count=1 with label_fraction=0.5: set one of them" in done.refusal


def test_a_config_that_sets_no_number_of_labels_has_the_hash_of_one_without_the_key(tmp_path):
    plain, _ = compose(CONFIGS, "unet", "dca1", "tiny", [], tmp_path)
    unset, _ = compose(CONFIGS, "unet", "dca1", "tiny", ["label_count=None"], tmp_path)
    assert "label_count" not in to_plain(plain)
    assert to_plain(unset) == to_plain(plain)


def test_low_rank_adaptation_is_a_data_set_of_its_own(tool, tmp_path, vessels, export_vit, sizes):
    """Also with fewer labels, in a folder and a record of its own."""
    export_vit(tmp_path / "mae" / "pretrain")
    options = (*METHOD, "--data", vessels.path, "--work", tmp_path, "--lora")
    settings = ("--cfg-options", "epochs=1", "batch_size=2", "lora.rank=3", *sizes)
    assert tool(*options, "--label-fraction", "0.5", *settings).returncode == 0
    (record,) = (tmp_path / "results").rglob("seed0.json")
    assert record.parent.name == "synthetic_v-50pct-lora"
    assert read_record(record).config["lora"]["rank"] == 3
    folder = tmp_path / "mae" / "finetune" / "synthetic_v-50pct-lora" / "seed0"
    assert (folder / "model.json").is_file()
    done = tool(*options, "--cfg-options", "lora.targets=('w',)", *sizes)
    assert "lora.targets: no 'w' in the encoder to adapt; it has qkv, q, k, v" in done.refusal
    done = tool(*options[:-1], "--cfg-options", "lora.rank=3")
    assert "lora.rank=3: a setting of --lora, which is missing\n" in done.refusal
    done = tool(*METHOD[:4], "--dataset", "synthetic_v-lora", "--work", tmp_path)
    assert "use tools/finetune.py --dataset synthetic_v --lora" in done.refusal


def test_convolutional_encoders_are_not_adapted(tool, tmp_path, vessels, make_encoder):
    export_encoder(tmp_path / "mae" / "pretrain", make_encoder("resnet"), {})
    options = ("--data", vessels.path, "--work", tmp_path, "--lora")
    message = "a resnet, without linear layers that --lora could adapt"
    assert message in tool(*METHOD, *options).refusal
    encoder = ("--encoder", tmp_path / "mae" / "pretrain", "--dataset", "synthetic_v")
    assert message in tool("--scale", "tiny", *encoder, *options).refusal


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

"""Fine-tuning by low-rank adaptation: what is trained, what is kept, and what is written."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from benchmark.data.tasks import TaskFolder
from benchmark.downstream.cell import BenchmarkCell
from benchmark.downstream.compose import compose
from benchmark.downstream.fine_tuned.model import load_model
from benchmark.downstream.finetune import assemble, run_cell
from benchmark.downstream.lora import LowRankAdaptation
from benchmark.downstream.preview import preview_cell
from benchmark.downstream.task import load_task
from benchmark.encoders.encoder import export_encoder
from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS
from benchmark.nn.low_rank import LowRankUpdate
from benchmark.registry import build
from benchmark.results import read_record
from benchmark.training.checkpoints.checkpoint import checkpoint_paths, read_checkpoint
from benchmark.training.distributed.signals import Stopped
from benchmark.training.optim import build_optimizer

SMALL = ("epochs=2", "batch_size=2", "base_lr=0.05", "checkpoint_interval=1", "log_interval=1")
SMALL += ("keep_checkpoints=1", "num_workers=0", "lora.rank=2")

CONVOLUTIONAL = {"resnet", "resnet+basic", "unet"}

MakeCell = Callable[..., BenchmarkCell]


@pytest.fixture(scope="module")
def make_cell(
    vessels: TaskFolder, sizes: tuple[str, ...], export_vit: Callable[..., Path]
) -> MakeCell:
    """A cell of segmentation at 64² and two epochs, by `--lora` or in full."""

    def make(work: Path, seed: int = 0, lora: bool = True) -> BenchmarkCell:
        if not (work / "mae").exists():
            export_vit(work / "mae" / "pretrain", seed=1)
        options = [*sizes, f"data.folder={vessels.path}", *SMALL[: None if lora else -1]]
        config, card = compose(CONFIGS, "mae", "synthetic_v", "tiny", options, work, lora=lora)
        dataset = "synthetic_v-lora" if lora else "synthetic_v"
        folder = work / "mae" / "finetune" / dataset / f"seed{seed}"
        return BenchmarkCell(config, card, dataset, seed, folder, work / "results")

    return make


@pytest.fixture(scope="module")
def finished(make_cell: MakeCell, tmp_path_factory: pytest.TempPathFactory) -> BenchmarkCell:
    cell = make_cell(tmp_path_factory.mktemp("work"))
    run_cell(cell)
    return cell


def initial_model(cell: BenchmarkCell) -> nn.Module:
    cell.config.seed = cell.seed
    folder = TaskFolder.open(cell.config.data.folder)
    return assemble(cell, load_task(cell.config.task), folder).model


def low_rank(model: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in model.state_dict().items() if ".lora_" in name}


def test_the_encoder_keeps_its_weights_but_for_the_updates(finished):
    """Of the model that is written; all else is trained, as in full fine-tuning."""
    encoder = load_file(finished.folder.parents[2] / "pretrain" / "encoder.safetensors")
    model = load_file(finished.folder / "model.safetensors")
    start = initial_model(finished).state_dict()
    kept = {name.removeprefix("backbone.encoder."): value for name, value in model.items()}
    for name, value in encoder.items():
        if name.endswith("attn.qkv.weight"):
            (query, key, val), old = kept[name].chunk(3), value.chunk(3)
            assert torch.equal(key, old[1]), name
            for new, before in ((query, old[0]), (val, old[2])):
                singular = torch.linalg.svdvals((new - before).double())
                assert singular[1] > 1e-5 > singular[2], "of rank two"
        else:
            assert torch.equal(kept[name], value), name
    for name, value in model.items():
        if not name.startswith(("backbone.", "decode_head.conv_seg")) and value.ndim:
            assert not torch.equal(value, start[name]), name


def test_the_model_needs_no_adapters_and_predicts_what_was_scored(finished, vessels):
    model = load_model(finished.folder)
    assert not any(isinstance(part, LowRankUpdate) for part in model.network.modules())
    items = vessels.splits["test"]
    frames = [np.asarray(Image.open(vessels.image("test", item["stem"]))) for item in items]
    predicted = model.predict(frames)
    assert any(0 < found.masks.mean() < 1 for found in predicted)
    for item, found in zip(items, predicted, strict=True):
        written = Image.open(finished.folder / "predictions" / f"{item['stem']}.png")
        np.testing.assert_array_equal(found.masks[0], np.asarray(written) > 0)


def test_the_optimiser_has_what_is_trained_alone(finished):
    groups = read_checkpoint(finished.folder / "epoch_2.pth").optimizer["param_groups"]
    names = {name for group in groups for name in group["names"]}
    model = initial_model(finished)
    encoder = {name for name in names if name.startswith("backbone.")}
    # A and B of queries and values in two blocks.
    assert len(encoder) == 8
    assert all(".lora_" in name for name in encoder)
    others = {n for n, _ in model.named_parameters() if not n.startswith("backbone.")}
    assert names == encoder | others
    assert {group["lr_scale"] for group in groups} == {1.0}


def test_the_record_counts_parameters(finished, make_cell, tmp_path):
    """In full all of the network; adapted 2·2·r·(32 + 32) and what is not the encoder."""
    full = make_cell(tmp_path, lora=False)
    run_cell(full)
    adapted, whole = read_record(finished.record), read_record(full.record)
    assert adapted.dataset == "synthetic_v-lora"
    network = load_file(full.folder / "model.safetensors")
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    count = sum(v.numel() for n, v in network.items() if not n.endswith(statistics))
    assert whole.parameters == whole.trained_parameters == adapted.parameters == count
    encoder = sum(
        v.numel()
        for n, v in load_file(tmp_path / "mae" / "pretrain" / "encoder.safetensors").items()
    )
    assert adapted.trained_parameters == count - encoder + 2 * 2 * 2 * (32 + 32)


def test_seeds_differ_and_heads_are_those_of_full_fine_tuning(make_cell, tmp_path):
    first, other = (initial_model(make_cell(tmp_path, seed)) for seed in (0, 1))
    one, two = low_rank(first), low_rank(other)
    for name, value in one.items():
        assert torch.equal(value, two[name]) == name.endswith("lora_b"), name
    full = initial_model(make_cell(tmp_path, lora=False)).state_dict()
    own = first.state_dict()
    heads = [name for name in full if not name.startswith("backbone.")]
    assert heads
    assert all(torch.equal(own[name], full[name]) for name in heads)


def test_an_interrupted_run_ends_as_one_that_was_not(finished, make_cell, before_step, tmp_path):
    cut = make_cell(tmp_path)
    with before_step(3, lambda: os.kill(os.getpid(), signal.SIGUSR1)), pytest.raises(Stopped):
        run_cell(cut)
    assert checkpoint_paths(cut.folder)[0].name == "epoch_1_step_3.pth"
    run_cell(make_cell(tmp_path))
    assert_same_end(cut, finished)


@pytest.mark.slow
def test_a_killed_run_ends_as_one_that_was_not(finished, make_cell, before_step, tmp_path):
    """SIGKILL before each step, and once more before the next one of the run that is resumed."""
    fork = multiprocessing.get_context("fork")

    def killed(cell: BenchmarkCell, step: int) -> None:
        torch.set_num_threads(1)
        with before_step(step, lambda: os.kill(os.getpid(), signal.SIGKILL)):
            run_cell(cell)

    for first in range(1, 5):
        cut = make_cell(tmp_path / str(first))
        for step in (first, min(first + 1, 4)):
            process = fork.Process(target=killed, args=(cut, step))
            process.start()
            process.join(120)
            assert process.exitcode == -signal.SIGKILL
        assert not cut.record.exists()
        run_cell(make_cell(tmp_path / str(first)))
        assert_same_end(cut, finished)


def assert_same_end(cut: BenchmarkCell, finished: BenchmarkCell) -> None:
    """Model, log and scores are the same to the last bit."""
    found, expected = (load_file(c.folder / "model.safetensors") for c in (cut, finished))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)
    logs = [
        [json.loads(line)["loss"] for line in (c.folder / "metrics.jsonl").open()]
        for c in (cut, finished)
    ]
    assert logs[0] == logs[1]
    scores = [pd.read_csv(c.record.with_suffix(".csv")) for c in (cut, finished)]
    pd.testing.assert_frame_equal(*scores)


class Wrapped(nn.Module):
    """An encoder where models have it."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.backbone = encoder


def test_every_kind_with_attention_is_adapted(kind, make_encoder):
    """It starts as it was, only the updates get a gradient, and all of them do."""
    model = Wrapped(make_encoder(kind)).eval()
    adaptation = LowRankAdaptation(rank=2, alpha=2.0, targets=("q", "v"))
    if kind in CONVOLUTIONAL:
        with pytest.raises(InputError, match="it has no linear layers at all"):
            adaptation.adapt(model, seed=0)
        return
    normed = (nn.modules.batchnorm._NormBase, nn.SyncBatchNorm)
    assert not any(isinstance(part, normed) for part in model.modules()), "no statistics to freeze"
    torch.manual_seed(0)
    images = torch.randn(2, 3, model.backbone.img_size, model.backbone.img_size)
    with torch.no_grad():
        before = model.backbone.feature_maps(images)[-1]
        adaptation.adapt(model, seed=0)
        assert torch.equal(model.backbone.feature_maps(images)[-1], before)
        for name, parameter in model.named_parameters():
            if name.endswith("lora_b"):
                parameter.normal_()
    features = model.backbone.feature_maps(images)[-1]
    assert not torch.allclose(features, before, rtol=1e-3, atol=1e-3)
    features.square().sum().backward()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert len(trained) == 4 * len(model.backbone.blocks)
    assert all(".lora_" in name and p.grad.any() for name, p in trained.items())


@pytest.mark.parametrize("dataset", ["synthetic_d", "synthetic_n"])
def test_other_tasks_train_updates_and_what_is_new(dataset, make_encoder, tmp_path):
    """Of ViTDet's backbone the relative positions, which the encoder has not."""
    export_encoder(tmp_path / "mae" / "pretrain", make_encoder("vit"), {})
    config, _ = compose(CONFIGS, "mae", dataset, "tiny", ["lora.rank=2"], tmp_path, lora=True)
    task = load_task(config.task)
    folder = type("Folder", (), {"classes": ["lesion"], "path": "memory"})()
    model = task.build_model(config, 0, folder)
    build(config.lora).adapt(model, 0)
    optimizer = build_optimizer(model, config.optimizer, 1e-3, config.layer_decay).optimizer
    task.adjust_optimizer(optimizer, model)
    names = {name for group in optimizer.param_groups for name in group["names"]}
    ends = {name.rpartition(".")[2] for name in names if name.startswith("backbone.")}
    positions = {"rel_pos_h", "rel_pos_w"} if dataset == "synthetic_d" else set()
    assert ends == {"lora_a", "lora_b"} | positions
    assert {n for n, _ in model.named_parameters() if not n.startswith("backbone.")} < names


def composed(work: Path, *options: str, method: str = "mae", dataset: str = "dca1") -> Config:
    return compose(CONFIGS, method, dataset, "paper", list(options), work, lora=True)[0]


def test_the_config_has_settings_of_its_own(tmp_path):
    config = composed(tmp_path, "lora.rank=4", "lora.targets=('qkv',)")
    assert (config.lora.rank, config.lora.targets) == (4, ("qkv",))
    assert config.layer_decay == 1.0
    full, _ = compose(CONFIGS, "mae", "dca1", "paper", [], tmp_path)
    assert "lora" not in full
    changed = {key for key in config.keys() | full.keys() if config.get(key) != full.get(key)}
    assert changed == {"lora", "layer_decay"}


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("lora.rank=0", "--cfg-options lora.rank=0: must be an integer of 1 or more"),
        ("lora.ranks=2", "unknown key 'ranks'; did you mean 'rank'"),
        ("lora.alpha=-1", "lora.alpha=-1: must be"),
    ],
)
def test_settings_are_checked(tmp_path, option, message):
    with pytest.raises(InputError, match=message):
        composed(tmp_path, option)


def test_what_has_no_encoder_is_refused_before_anything_is_loaded(tmp_path):
    for method, dataset in (("unet", "dca1"), ("frangi", "dca1"), ("faster_rcnn", "stenosis")):
        with pytest.raises(InputError, match=f"{method}: has no exported encoder that --lora"):
            preview_cell(CONFIGS, method, dataset, None, [], tmp_path, None, lora=True)
        with pytest.raises(InputError, match="has no exported encoder that --lora could adapt"):
            composed(tmp_path, method=method, dataset=dataset)
    with pytest.raises(InputError, match="a setting of --lora, which is missing"):
        preview_cell(CONFIGS, "mae", "dca1", None, ["lora.rank=4"], tmp_path, None, inputs=False)

"""Training runs: exact repeats and resume, the same on one process or two, clear refusals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from child_runs import finish_pair, read_log
from mmengine.config import Config

from benchmark.anatomy.unext import UNeXt
from benchmark.data.packs import FramePack
from benchmark.encoders.card import read_encoder_card
from benchmark.encoders.encoder import load_encoder, write_tensors
from benchmark.errors import InputError
from benchmark.randomness import seed_torch
from benchmark.registry import build
from benchmark.training.checkpoints.checkpoint import (
    Checkpoint,
    checkpoint_paths,
    read_checkpoint,
    save_checkpoint,
)
from benchmark.training.hooks import CheckpointHook
from benchmark.training.train import check, dry_run, train

Configs = Callable[..., Config]


def run(config: Config, folder: Path, resume: bool = False) -> list[dict[str, Any]]:
    """Train, and return the log without what depends on the clock."""
    train(config, folder, "test", resume=resume, overwrite=False)
    return read_log(folder)


def final_state(folder: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(checkpoint_paths(folder)[0]).model


def assert_same_state(first: Path, second: Path) -> None:
    one, two = final_state(first), final_state(second)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.fixture(scope="module")
def reference(small_config: Configs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One uninterrupted VasoMIM run of three epochs."""
    folder = tmp_path_factory.mktemp("vasomim") / "run"
    run(small_config("vasomim"), folder)
    return folder


def launch(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Sums depend on how many threads share them; a repeat has to use as many.
    threads = str(torch.get_num_threads())
    return subprocess.run(
        ["bash", "tools/dist_train.sh", *arguments],
        cwd=root,
        env={**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": threads},
        capture_output=True,
        text=True,
    )


def test_same_seed_is_bit_identical_and_workers_do_not_matter(reference, small_config, tmp_path):
    """A second run, here with two loader processes, gives the same log and the same weights."""
    log = run(small_config("vasomim", "num_workers=2"), tmp_path / "again")
    assert log == read_log(reference)
    assert len(log) == 9
    assert_same_state(reference, tmp_path / "again")
    other = run(small_config("vasomim", "seed=1", "epochs=1"), tmp_path / "other")
    assert other[0]["loss"] != log[0]["loss"]


def test_resume_is_bit_identical(reference, small_config, tmp_path, monkeypatch):
    """Killed in the second epoch after steps that the checkpoint does not hold, then resumed."""
    folder = tmp_path / "run"
    steps_before = CheckpointHook.after_train_iter

    def killed(self: CheckpointHook, runner: Any, **_: Any) -> None:
        if runner.iter == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(CheckpointHook, "after_train_iter", killed, raising=False)
    with pytest.raises(KeyboardInterrupt):
        run(small_config("vasomim"), folder)
    monkeypatch.setattr(CheckpointHook, "after_train_iter", steps_before)
    assert [path.name for path in checkpoint_paths(folder)] == ["epoch_1.pth"]
    assert not (folder / "encoder.json").exists()
    message = "holds an interrupted run; add --resume to resume it after epoch_1.pth, --overwrite"
    with pytest.raises(InputError, match=message):
        run(small_config("vasomim"), folder)

    assert run(small_config("vasomim"), folder, resume=True) == read_log(reference)
    assert_same_state(reference, folder)
    card = read_encoder_card(folder)
    spent = card.provenance["device_seconds"]["cpu"]
    last = read_checkpoint(checkpoint_paths(folder)[0])
    assert 0 < last.device_seconds["cpu"] <= spent, "both executions together"
    assert last.device_seconds["cpu"] == pytest.approx(last.seconds, abs=0.1)
    expected = (reference / "encoder.safetensors").read_bytes()
    assert (folder / "encoder.safetensors").read_bytes() == expected


def test_two_processes_equal_one(reference, small_config, tmp_path):
    """Two CPU processes with one part of the batch each: the same to the last bit."""
    folder = tmp_path / "run"
    assert finish_pair(small_config("vasomim"), folder, tmp_path / "meet") == [0, 0]
    assert read_log(folder) == read_log(reference)
    assert_same_state(folder, reference)


@pytest.mark.slow
def test_two_launched_processes_equal_one(reference, work, root, small_options, tmp_path):
    folder = tmp_path / "run"
    where = ("--scale", "tiny", "--work", str(work), "--work-dir", str(folder))
    options = ("--cfg-options", *small_options)
    done = launch(root, "configs/vasomim/pretrain.py", "2", *where, *options)
    assert done.returncode == 0, done.stderr[-3000:]
    assert read_log(folder) == read_log(reference)
    assert_same_state(folder, reference)
    finished = json.loads((folder / "run.json").read_text())["finished"]
    assert finished["device_seconds"]["cpu"] == pytest.approx(2 * finished["seconds"], rel=0.01)


def rename_layer(checkpoint: Checkpoint) -> None:
    checkpoint.model["encoder.blocks.9.renamed"] = checkpoint.model.pop("encoder.norm.weight")


def drop_group(checkpoint: Checkpoint) -> None:
    checkpoint.optimizer["param_groups"].pop()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (rename_layer, r"epoch_1\.pth: .*1 missing \(first: encoder.norm.weight"),
        (drop_group, r"epoch_1\.pth: does not fit the optimiser: .*number of parameter groups"),
    ],
)
def test_a_checkpoint_of_another_model_is_one_line(change, said, small_config, tmp_path):
    """As a run that was cut before a layer was renamed."""
    folder = tmp_path / "run"
    run(small_config("mae", "epochs=1"), folder)
    description = json.loads((folder / "run.json").read_text())
    del description["finished"]
    (folder / "run.json").write_text(json.dumps(description))
    content = read_checkpoint(folder / "epoch_1.pth")
    change(content)
    save_checkpoint(folder, content, keep=1)
    with pytest.raises(InputError, match=said):
        run(small_config("mae", "epochs=1"), folder, resume=True)


def test_log_tells_what_happens(reference):
    """The total is the sum of its terms; the learning rate follows warm-up and cosine."""
    log = read_log(reference)
    assert [line["step"] for line in log] == list(range(1, 10))
    for line in log:
        total = line["loss_reconstruction"] + line["loss_consistency"]
        assert line["loss"] == pytest.approx(total, rel=1e-6)
        assert 0 <= line["vessel_share"] <= 1
    # Peak 1.5e-4 · 4/8; two of three epochs warm up, the third is half a cosine.
    peak = 0.75e-4
    assert [line["lr"] for line in log[:3]] == pytest.approx([0, peak / 6, peak / 3])
    assert log[6]["lr"] == pytest.approx(peak)
    assert log[7]["lr"] == pytest.approx(peak * 0.75)


def test_export_is_the_trained_encoder(reference):
    """The exported file holds the encoder of the last checkpoint, and loads strictly."""
    encoder, card = load_encoder(reference)
    state = final_state(reference)
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, state[f"encoder.{name}"])
    description = json.loads((reference / "run.json").read_text())
    assert card.provenance["corpus_hash"] == description["corpus_hash"]
    assert card.provenance["epochs"] == 3
    assert card.provenance["pretraining"] == "synthetic, 14 frames"
    assert description["finished"]["exports"] == {"encoder": card.weights_sha256}


def test_a_run_is_not_mixed_with_another(reference, small_config, work, tmp_path):
    """Without --resume nothing is touched; with it, a run of another config is refused."""
    before = {path.name: path.stat().st_mtime_ns for path in reference.iterdir()}
    with pytest.raises(InputError, match="holds a finished run; choose another --work-dir, or"):
        run(small_config("vasomim"), reference)
    with pytest.raises(InputError, match=r"method\.masking\.ratio: 0\.5 → 0\.75"):
        run(small_config("vasomim", "method.masking.ratio=0.75"), reference, resume=True)
    other = tmp_path / "segmentor.safetensors"
    write_tensors(other, UNeXt(channels=(4, 4, 8, 8, 8)))
    with pytest.raises(InputError, match=r"method\.segmentor\.checkpoint"):
        run(small_config("vasomim", f"method.segmentor.checkpoint={other}"), reference, True)
    # How a run is executed may change; a finished run is left alone.
    run(small_config("vasomim", "num_workers=1", "log_interval=2"), reference, resume=True)
    assert {path.name: path.stat().st_mtime_ns for path in reference.iterdir()} == before


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("mae", ["packs=['nowhere']"], "nowhere: no such folder"),
        ("mae", ["batch_size=40"], "batch_size=40 is more than the 14 frames"),
        ("mae", ["method.encoder.patch_size=15"], "patch_size=15 does not divide"),
        ("mae", ["method.masking.ratio=1.0"], "ratio=1.0 masks 16 of 16"),
        ("vasomim", ["method.segmentor.checkpoint=gone.pth"], "gone.pth: no such file"),
        ("vasomim", ["method.segmentor.network.channels=(4,4,8,8,16)"], "do not fit UNeXt"),
        ("vasomim", ["method.views.size=80", "method.encoder.img_size=80"], "32"),
    ],
)
def test_bad_input_is_one_line(small_config, tmp_path, method, options, message):
    """Every mistake is named with what is wrong."""
    with pytest.raises(InputError, match=message):
        run(small_config(method, *options), tmp_path / "run")
    assert not (tmp_path / "run" / "encoder.json").exists()


def test_a_mistake_replaces_nothing(small_config, tmp_path):
    """Nor does one that only the first step finds stand in the way of the next try."""
    folder = tmp_path / "run"
    with pytest.raises(InputError, match="32"):
        run(small_config("vasomim", "method.views.size=80", "method.encoder.img_size=80"), folder)
    run(small_config("mae", "epochs=1"), folder)
    kept = (folder / "encoder.safetensors").read_bytes()
    with pytest.raises(InputError, match="no such folder"):
        train(small_config("mae", "packs=['gone']"), folder, "test", resume=False, overwrite=True)
    assert (folder / "encoder.safetensors").read_bytes() == kept


def test_launcher_checks_before_it_starts(work, root, tmp_path):
    """Bad input through the launcher is the same one line with code 2, not torchrun's page."""
    options = ("--scale", "tiny", "--work", str(work), "--cfg-options", "batch_size=4")
    done = launch(root, "configs/mae/pretrain.py", "3", *options)
    assert done.returncode == 2
    assert done.stderr == "error: batch_size=4 does not divide among 3 processes\n"


def test_dry_run_writes_nothing(work, small_config, capsys):
    """Two steps, an estimate, and no folder anywhere."""
    before = sorted(work.rglob("*"))
    dry_run(small_config("vasomim"), "VasoMIM")
    printed = capsys.readouterr().out
    assert printed.count("loss_reconstruction") == 2
    assert "14 frames, 3 steps per epoch" in printed
    assert sorted(work.rglob("*")) == before


def test_pack_without_anatomy(small_config, work, tmp_path):
    """MAE trains on it; VasoMIM says which command is missing."""
    from benchmark.data.packs import build_pack
    from benchmark.data.sources import open_source

    source = open_source("synthetic", patients="1", videos="1", frames="5", size="64")
    pack: FramePack = build_pack(source, tmp_path / "bare", size=64, progress=False)
    option = f"packs=['{pack.path}']"
    log = run(small_config("mae", option, "epochs=1"), tmp_path / "mae")
    assert "vessel_share" not in log[0]
    with pytest.raises(InputError, match=r"tools/extract_anatomy\.py"):
        run(small_config("vasomim", option), tmp_path / "vasomim")


def test_no_epochs_export_the_initial_weights_of_the_seed(small_config, tmp_path, capsys):
    """Of the same seed those that a run starts from; no pack is opened, no checkpoint left."""
    nowhere = f"packs=['{tmp_path}/nowhere']"
    config = small_config("mae", "epochs=0", nowhere)
    check(config, tmp_path / "run", resume=False, overwrite=False, processes=2)
    train(config, tmp_path / "run", "test", resume=False, overwrite=False)
    found, card = load_encoder(tmp_path / "run")
    seed_torch(config.seed, "weights")
    initial = build(config.method).encoder.state_dict()
    assert all(torch.equal(value, initial[name]) for name, value in found.state_dict().items())
    origin = card.provenance
    assert (origin["epochs"], origin["frames"], origin["pretraining"]) == (0, 0, "—")
    assert "corpus_hash" not in origin
    assert not checkpoint_paths(tmp_path / "run")
    train(config, tmp_path / "run", "test", resume=True, overwrite=False)
    assert "finished already" in capsys.readouterr().out
    other = small_config("mae", "epochs=0", nowhere, "seed=1")
    train(other, tmp_path / "other", "test", resume=False, overwrite=False)
    assert load_encoder(tmp_path / "other")[1].fingerprint != card.fingerprint
    dry_run(config, "test")
    assert "no epochs; nothing was written" in capsys.readouterr().out

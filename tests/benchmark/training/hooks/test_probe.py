"""The probe of a run: logged at its epochs, for every method, at no cost to the training."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from child_runs import assert_same_end, finish, read_log, signal_at_step, start
from mmengine.config import Config

from benchmark.encoders.encoder import load_encoder
from benchmark.training.hooks import ProbeHook
from benchmark.training.hooks.evaluating import evaluating
from benchmark.training.probing import choose_frames, probe, read_frames
from benchmark.training.train import assemble, train

OPTIONS = ("epochs=5", "checkpoint_interval=1", "log_interval=2", "num_threads=1")
EVERY_TWO = "default_hooks.probe.interval=2"


def probed(folder: Path) -> list[dict[str, Any]]:
    return [line for line in read_log(folder) if "probe_ap" in line]


def trained(folder: Path) -> list[dict[str, Any]]:
    return [line for line in read_log(folder) if "probe_ap" not in line]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "epoch_5.pth", weights_only=True)["model"]


@pytest.fixture(scope="module")
def run(small_config, tmp_path_factory):
    """A finished run of a method with the options; made once for each."""
    made: dict[tuple[str, ...], Path] = {}

    def make(method: str, *options: str) -> Path:
        key = (method, *options)
        if key not in made:
            folder = tmp_path_factory.mktemp("run") / "run"
            train(small_config(method, *OPTIONS, *options), folder, method, False, False)
            made[key] = folder
        return made[key]

    return make


def test_it_is_logged_at_the_start_every_so_many_epochs_and_at_the_end(run):
    lines = probed(run("mae", EVERY_TWO))
    assert [(line["step"], line["epoch"]) for line in lines] == [
        *((0, -1), (6, 1), (12, 3), (15, 4))
    ]
    assert all(0 < line["probe_ap"] <= 100 for line in lines)
    assert [("probe_chance" in line) for line in lines] == [True, *3 * [False]]
    assert [*lines[0]] == ["step", "epoch", "probe_ap", "probe_chance"]
    text = (run("mae", EVERY_TWO) / "train.log").read_text()
    assert text.count("frozen encoder finds vessel patches") == 1
    assert text.count("  probe_ap ") == 4
    assert f"probe_ap {lines[-1]['probe_ap']:.2f}  chance {lines[0]['probe_chance']:.2f}" in text


def test_the_first_value_is_that_of_the_initial_weights(run, small_config, tmp_path):
    """Which a run of no epochs exports."""
    train(small_config("mae", "epochs=0"), tmp_path / "run", "MAE", False, False)
    encoder, _ = load_encoder(tmp_path / "run")
    packs = assemble(small_config("mae")).packs
    halves = [read_frames(packs, rows, 64, 16) for rows in choose_frames(packs, 128)]
    found = probe(encoder.eval(), *halves, c=1.0, iterations=100)
    first = probed(run("mae", EVERY_TWO))[0]
    assert (first["probe_ap"], first["probe_chance"]) == (found.average_precision, found.chance)


def test_the_training_does_not_notice(run):
    """The same lines of the log, and the same weights and running statistics."""
    plain, with_probe = run("mae", "default_hooks.probe.interval=0"), run("mae", EVERY_TWO)
    assert probed(plain) == []
    assert trained(plain) == trained(with_probe)
    one, two = weights(plain), weights(with_probe)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_what_is_exported_is_probed(run, small_config):
    """The last value is that of the encoder in the folder of the run."""
    folder = run("mae", EVERY_TWO)
    encoder, _ = load_encoder(folder)
    packs = assemble(small_config("mae")).packs
    halves = [read_frames(packs, rows, 64, 16) for rows in choose_frames(packs, 128)]
    found = probe(encoder.eval(), *halves, c=1.0, iterations=100)
    assert probed(folder)[-1]["probe_ap"] == found.average_precision


def test_a_resumed_run_repeats_it(small_config, run, tmp_path):
    """Stopped within epoch 4 and in the step before the second probe: the same log in the end."""
    config = small_config("mae", *OPTIONS, EVERY_TWO)
    for step in (11, 12):
        folder = tmp_path / str(step)
        assert finish(config, folder, before=signal_at_step(step, signal.SIGTERM)) == 75
        assert len(probed(folder)) == (2 if step == 11 else 3)
        assert finish(config, folder) == 0
        assert_same_end(folder, run("mae", EVERY_TWO))


def test_two_processes_log_what_one_does(small_config, run, tmp_path):
    config = small_config("mae", *OPTIONS, EVERY_TWO)
    pair = [start(config, tmp_path / "run", pair=tmp_path / "join", rank=rank) for rank in range(2)]
    for process in pair:
        process.join(120)
    assert [process.exitcode for process in pair] == [0, 0]
    assert probed(tmp_path / "run") == probed(run("mae", EVERY_TWO))


def test_auto_is_off_for_a_run_in_which_it_would_cost_much(small_config):
    def every(epochs: int, batches: int) -> int:
        config = Config({"batch_size": 1000})
        runner = SimpleNamespace(
            train_dataloader=range(batches), max_epochs=epochs, run=SimpleNamespace(config=config)
        )
        return ProbeHook("auto", frames=100, spacing=1000)._epochs_between(runner)

    # 100 frames of a probe are worth 100,000 of the training.
    assert every(epochs=800, batches=171) == 1
    assert every(epochs=100, batches=3) == 34
    assert every(epochs=33, batches=3) == 0
    assert small_config("mae").default_hooks.probe.interval == "auto"


def test_modes_and_generators_are_restored():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    model[0].eval()
    before = torch.get_rng_state()
    with evaluating(model):
        assert not model[1].training
        assert not torch.is_grad_enabled()
        torch.rand(3)
    assert [module.training for module in model.modules()] == [True, False, True]
    assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), before)


def test_without_anatomy_it_says_so(small_config, work, tmp_path):
    """And trains; MAE needs none."""
    pack = tmp_path / "pack"
    shutil.copytree(work / "packs" / "xa170k", pack)
    manifest = json.loads((pack / "manifest.json").read_text())
    del manifest["anatomy"]
    (pack / "manifest.json").write_text(json.dumps(manifest))
    config = small_config("mae", "epochs=1", EVERY_TWO)
    config.packs, config.anatomy = [str(pack)], False
    train(config, tmp_path / "run", "MAE", False, False)
    lines = (tmp_path / "run" / "train.log").read_text().splitlines()
    said = [line.partition("  ")[2] for line in lines if "no probe" in line]
    assert said == [
        f"MAE: no probe: {pack} has no anatomy; make it with tools/extract_anatomy.py {pack}"
    ]
    assert probed(tmp_path / "run") == []


def test_held_out_patients_are_not_trained_on(small_config, work):
    usual, without = (assemble(small_config("mae", *o)) for o in ((), ("held_out=0.5",)))
    assert len(without.packs) == 7
    assert len(without.loader.dataset) == 7
    assert not set(without.packs.held_out) & set(without.packs.rows)
    for key in ("config_hash", "corpus_hash"):
        assert usual.identity[key] != without.identity[key]

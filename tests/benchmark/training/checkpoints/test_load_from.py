"""New runs from weights that are there: all fit, all are loaded, and it is on record."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from benchmark.checks.contract import prepare
from benchmark.encoders.encoder import load_encoder
from benchmark.errors import InputError
from benchmark.files import sha256_file
from benchmark.method_cards import CONFIGS
from benchmark.training.checkpoints.checkpoint import (
    checkpoint_paths,
    read_checkpoint,
    save_checkpoint,
)
from benchmark.training.checkpoints.load_from import weights_file
from benchmark.training.config import fill_paths, load_config
from benchmark.training.train import assemble, train

Configs = Callable[..., Config]


def start_from(config: Config, path: Path) -> Config:
    config.load_from = str(path)
    return config


@pytest.fixture(scope="module")
def mae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mae") / "run"


@pytest.fixture
def run(mae: Path, small_config: Configs) -> Path:
    """A finished run of MAE."""
    if not mae.exists():
        train(small_config("mae", "epochs=1", "seed=5"), mae, "mae", resume=False, overwrite=False)
    return mae


def test_a_checkpoint_is_loaded_whole(run, small_config):
    """Into another seed of the same method; and without it the weights are others."""
    file = checkpoint_paths(run)[0]
    method = assemble(start_from(small_config("mae"), file)).method
    expected = read_checkpoint(file).model
    state = method.state_dict()
    assert all(torch.equal(state[name], value) for name, value in expected.items())
    fresh = assemble(small_config("mae")).method.state_dict()
    assert not torch.equal(fresh["encoder.norm.weight"], state["encoder.norm.weight"])


def test_an_exported_encoder_is_loaded_into_the_encoder(run, small_config):
    """From the folder or the file; the decoder keeps its initial values."""
    fresh = assemble(small_config("mae")).method.state_dict()
    exported = load_encoder(run)[0].state_dict()
    for path in (run, run / "encoder.safetensors"):
        state = assemble(start_from(small_config("mae"), path)).method.state_dict()
        for name, value in state.items():
            origin = exported.get(name.removeprefix("encoder."), fresh[name])
            assert torch.equal(value, fresh[name] if name.startswith("decoder.") else origin), name


def test_averaged_copies_start_equal(tmp_path):
    """DINO's teacher is a copy of the student; it would pull it back to random weights."""
    config = load_config(CONFIGS / "dino" / "pretrain.py", "tiny")
    fill_paths(config, tmp_path)
    prepare(config, tmp_path)
    config.epochs = 1
    train(config, tmp_path / "run", "dino", resume=False, overwrite=False)
    method = assemble(start_from(config, tmp_path / "run")).method
    exported = load_encoder(tmp_path / "run")[0].state_dict()
    for encoder in (method.encoder, method.teacher_encoder.module):
        state = encoder.state_dict()
        assert all(torch.equal(state[name], value) for name, value in exported.items())


def test_the_segmentor_starts_from_its_export(work, tmp_path):
    """A network that is no encoder, by the name it is exported under."""
    config = load_config(CONFIGS / "segmentor" / "unext_s.py", "tiny")
    fill_paths(config, work)
    config._cfg_dict.update(epochs=1, batch_size=4, num_workers=0, checkpoint_interval=1)
    train(config, tmp_path / "run", "S", resume=False, overwrite=False)
    for path in (tmp_path / "run", tmp_path / "run" / "segmentor.safetensors"):
        method = assemble(start_from(config, path)).method
        expected = read_checkpoint(tmp_path / "run" / "epoch_1.pth").model
        state = method.state_dict()
        assert all(torch.equal(state[name], value) for name, value in expected.items())


def test_what_a_run_started_from_is_part_of_it(run, small_config, tmp_path):
    """By hash, in the description and in the export; another start is another run."""
    folder = tmp_path / "second"
    config = small_config("mae", "epochs=1")
    train(start_from(config, run), folder, "test", resume=False, overwrite=False)
    digest = sha256_file(run / "encoder.safetensors")
    description = json.loads((folder / "run.json").read_text())
    assert description["weights"] == {"load_from": digest}
    assert load_encoder(folder)[1].provenance["load_from"] == digest
    fresh = json.loads((run / "run.json").read_text())
    assert fresh["weights"] == {}
    # Resuming compares the content of the file, not its path.
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("encoder.safetensors", "encoder.json"):
        (moved / name).write_bytes((run / name).read_bytes())
    train(start_from(config, moved), folder, "test", resume=True, overwrite=False)
    with pytest.raises(InputError, match=rf"weights\.load_from: '{digest}' → None"):
        train(small_config("mae", "epochs=1"), folder, "test", resume=True, overwrite=False)


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("mae", "nowhere", "nowhere: no such file to load from"),
        ("mae", "empty", "empty: --load-from finds neither encoder.safetensors nor a checkpoint"),
        ("mae", "run/run.json", r"run\.json: --load-from takes a checkpoint .* convert others"),
        ("mae", "wide", r"epoch_1\.pth: these weights do not fit MAE: .*of another shape"),
        (
            "vasomim",
            "run/epoch_1.pth",
            r"epoch_1\.pth: .* do not fit VasoMIM: .*missing",
        ),
        ("mae", "pointer.pth", r"pointer\.pth: a Git LFS pointer, no weights; fetch it with"),
        (
            "mae",
            "others.pth",
            r"others\.pth: .*; weights of others go through tools/convert_checkp",
        ),
        ("mae", "segmentor.safetensors", "MAE exports encoder, .* not from 'segmentor'"),
        (
            "mae",
            "altered",
            r"encoder\.safetensors: damaged, or not the weights enc",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(run, small_config, tmp_path, method, path, message):
    """And leaves no folder."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "run").symlink_to(run)
    (tmp_path / "segmentor.safetensors").write_bytes((run / "encoder.safetensors").read_bytes())
    narrow = read_checkpoint(run / "epoch_1.pth")
    wide = {**narrow.model, "encoder.norm.weight": torch.ones(48)}
    save_checkpoint(tmp_path / "wide", narrow.model_copy(update={"model": wide}), keep=1)
    (tmp_path / "pointer.pth").write_text("version https://git-lfs.github.com/spec/v1\n")
    torch.save({"model": {"cls_token": torch.ones(1)}}, tmp_path / "others.pth")
    (tmp_path / "altered").mkdir()
    data = bytearray((run / "encoder.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "altered" / "encoder.safetensors").write_bytes(data)
    (tmp_path / "altered" / "encoder.json").write_bytes((run / "encoder.json").read_bytes())
    config = start_from(small_config(method), tmp_path / path)
    with pytest.raises(InputError, match=message):
        train(config, tmp_path / "new", "test", resume=False, overwrite=False)
    assert not (tmp_path / "new").exists()


def test_other_grey_values_are_refused(run, small_config):
    """An encoder does not know a frame that is normalised otherwise."""
    config = start_from(small_config("mae", "method.views.mean=(0.5,0.5,0.5)"), run)
    with pytest.raises(InputError, match=r"with mean=\[0\.485.*; set method\.views\.mean to it"):
        assemble(config)


def test_the_newest_checkpoint_of_a_folder(tmp_path):
    """Where nothing is exported yet; a step within an epoch is after its begin."""
    for name in ("epoch_9.pth", "epoch_10.pth", "epoch_10_step_55.pth", "notes.txt"):
        (tmp_path / name).touch()
    assert weights_file(tmp_path).name == "epoch_10_step_55.pth"

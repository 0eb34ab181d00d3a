"""The command line that converts released encoders: what it prints, writes and refuses."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch

from benchmark.encoders.encoder import export_encoder, load_encoder
from benchmark.encoders.releases import RELEASES
from benchmark.nn.vit import VisionTransformer

TOOLS = Path(__file__).resolve().parents[2] / "tools"
SMALL = dict(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2)
ARGUMENTS = ("--arguments", *(f"{key}={value}" for key, value in SMALL.items()))


@pytest.fixture
def call(run_tool, monkeypatch, tmp_path):
    """The tool with its arguments, in `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    return partial(run_tool, TOOLS / "convert_checkpoint.py")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    encoder = VisionTransformer(**SMALL)
    torch.save({"model": encoder.state_dict(), "epoch": 7}, tmp_path / "mae.pth")
    return tmp_path / "mae.pth"


def test_list_names_every_release_and_its_source(call):
    done = call("--list")
    assert (done.returncode, done.stderr) == (0, "")
    header, *lines = done.stdout.splitlines()
    assert header.split()[:2] == ["name", "title"]
    assert [line.split()[0] for line in lines] == list(RELEASES)
    for line, release in zip(lines, RELEASES.values()):
        assert release.source in line


def test_a_file_is_converted_where_fine_tuning_looks_for_it(call, file, tmp_path):
    """Without --out below work_dirs; what is printed is what the description says."""
    done = call("mae_imagenet", file, *ARGUMENTS)
    assert (done.returncode, done.stderr) == (0, "")
    folder = tmp_path / "work_dirs" / "released" / "mae_imagenet"
    encoder, card = load_encoder(folder)
    assert card.fingerprint in done.stdout
    assert "every tensor fits, written to work_dirs/released/mae_imagenet" in done.stdout
    assert "vit, 32 channels at stride 8" in done.stdout
    assert "behind model. of the file" in done.stdout
    assert "skipped      epoch (1)" in done.stdout
    proven, trusted = (
        next(line for line in done.stdout.splitlines() if line.strip().startswith(start))
        for start in ("by tensors", "on trust")
    )
    for part in ("embed_dim=32", "depth=2", "patch_size=8", "img_size=32"):
        assert part in proven
        assert part not in trusted
    for part in ("num_heads=2", "norm_eps=1e-06", "mean=(0.485, 0.456, 0.406)"):
        assert part in trusted
        assert part not in proven
    saved = torch.load(file)["model"]
    assert all(torch.equal(saved[name], value) for name, value in encoder.state_dict().items())


def test_trust_has_to_be_said(call, file, tmp_path):
    """An object of a foreign class: one line names it; with --trust it is loaded."""
    content = torch.load(file)
    torch.save({**content, "extra": torch.nn.Linear(2, 2)}, file)
    out = ("--out", tmp_path / "out")
    done = call("mae_imagenet", file, *out, *ARGUMENTS)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        f"error: {file}: refused, since reading it would run code: it holds "
    )
    assert "torch.nn.modules.linear.Linear" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert call("mae_imagenet", file, *out, *ARGUMENTS, "--trust").returncode == 0
    load_encoder(tmp_path / "out")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("dinov4", "{file}"), "error: dinov4: no released encoder; known: dinov3"),
        (("dino", "nowhere.pth"), "error: nowhere.pth: no such file"),
        (
            ("mae_imagenet", "{file}"),
            "error: {file}: its tensors are of another size than mae_imagenet (embed_dim 32 "
            "instead of 768, depth 2 instead of 12, patch_size 8 instead of 16, img_size 32 "
            "instead of 224); tensors do not tell num_heads: "
            "add --arguments embed_dim=32 depth=2 patch_size=8 img_size=32 num_heads=…",
        ),
        (("med_dinov3", "{file}"), "error: {file}: as a file of med_dinov3: no name in it ends"),
        (
            ("mae_imagenet", "{file}", "--prefix", "teacher."),
            "error: {file}: as a file of mae_imagenet: --prefix teacher.: not there; pass --prefix "
            "model.",
        ),
        (
            ("mae_imagenet", "{file}", *ARGUMENTS, "embed_dim=32.0"),
            "error: --arguments embed_dim=32.0: must be an integer of 1 or more",
        ),
        (
            ("mae_imagenet", "{file}", *ARGUMENTS, "img_size=(32,16)"),
            "error: --arguments img_size=(32, 16): must be an integer of 1 or more",
        ),
        (
            ("mae_imagenet", "{file}", "--arguments", "depth=two"),
            "error: --arguments depth=two: write it as key=number",
        ),
    ],
)
def test_bad_input_is_one_line_and_code_2(arguments, expected, call, file, tmp_path):
    done = call(*(part.format(file=file) for part in arguments))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(expected.format(file=file))
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "work_dirs").exists()


def test_without_a_name_the_usage_is_printed(call):
    done = call()
    assert done.returncode == 2
    assert "NAME and FILE, or --list" in done.stderr


def test_a_trained_encoder_is_not_replaced(call, file, tmp_path):
    """That of a run, by a slip of --out; one that was converted before is."""
    run = tmp_path / "run"
    export_encoder(run, VisionTransformer(**SMALL), {"run": "pretrain"})
    before = (run / "encoder.safetensors").read_bytes()
    done = call("mae_imagenet", file, *ARGUMENTS, "--out", run)
    assert done.returncode == 2
    assert "run: holds an encoder that no release was converted to" in done.stderr
    assert (run / "encoder.safetensors").read_bytes() == before
    for _ in range(2):
        assert call("mae_imagenet", file, *ARGUMENTS, "--out", tmp_path / "new").returncode == 0

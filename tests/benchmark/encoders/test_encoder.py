"""Exported encoders: content, strict loading, refused files."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from benchmark.encoders.card import read_encoder_card
from benchmark.encoders.encoder import export_encoder, load_encoder
from benchmark.encoders.fingerprint import take_features
from benchmark.errors import InputError
from benchmark.files import sha256_file
from benchmark.nn.vit import VisionTransformer

Edit = Callable[[dict], object]


@pytest.fixture
def exported(tmp_path: Path, tiny_vit: VisionTransformer) -> Path:
    export_encoder(tmp_path / "run", tiny_vit, {"run": "mae", "corpus_hash": "c0de"})
    return tmp_path / "run"


def _edit_card(folder: Path, edit: Edit) -> None:
    content = json.loads((folder / "encoder.json").read_text())
    edit(content)
    (folder / "encoder.json").write_text(json.dumps(content))


def _rehash(folder: Path) -> None:
    """Make the description fit a tampered weights file, as a careful forger would."""
    digest = sha256_file(folder / "encoder.safetensors")
    _edit_card(folder, lambda card: card.update(weights_sha256=digest))


def test_content_of_encoder_json(exported, tiny_vit):
    content = json.loads((exported / "encoder.json").read_text())
    assert content == {
        "schema": 1,
        "architecture": "vit",
        "arguments": {
            "img_size": 32,
            "patch_size": 8,
            "embed_dim": 32,
            "depth": 2,
            "num_heads": 4,
            "mlp_ratio": 4.0,
            "class_token": True,
            "in_channels": 3,
            "layer_scale": None,
            "final_norm": True,
            "reg_tokens": 0,
            "no_embed_class": False,
            "norm_eps": 1e-6,
            "pre_norm": False,
            "activation": "gelu",
        },
        "num_prefix_tokens": 1,
        "final_norm": "norm",
        "patch_size": 8,
        "strides": [8],
        "widths": [32],
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "fingerprint": take_features(tiny_vit).fingerprint,
        "features": take_features(tiny_vit).texts(),
        "weights_sha256": sha256_file(exported / "encoder.safetensors"),
        "provenance": {"run": "mae", "corpus_hash": "c0de"},
    }
    assert sorted(path.name for path in exported.iterdir()) == [
        "encoder.json",
        "encoder.safetensors",
    ]


def test_equal_encoders_are_equal_files(tmp_path, exported, tiny_vit):
    export_encoder(tmp_path / "again", tiny_vit, {"run": "mae", "corpus_hash": "c0de"})
    for name in ("encoder.json", "encoder.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (exported / name).read_bytes()


def test_the_fingerprint_covers_all_tokens(tiny_vit):
    """Written out: mean and deviation of each channel over CLS and patches, in thousandths."""
    ramp = np.linspace(-1, 1, 32)
    picture = np.sin(5 * ramp[:, None] ** 2 + 9 * ramp[None]) + ramp[None]
    image = torch.from_numpy(picture).float().expand(1, 3, 32, 32)
    with torch.no_grad():
        tokens = tiny_vit.eval()(image)[0].double().numpy()
    assert tokens.shape == (17, 32)
    means = [sum(tokens[:, c]) / 17 for c in range(32)]
    spreads = [(sum((tokens[:, c] - means[c]) ** 2) / 16) ** 0.5 for c in range(32)]
    statistics = np.array(means + spreads)
    thousandths = np.round(1000 * statistics / np.abs(statistics).max()).astype("<i2")
    expected = hashlib.sha256(thousandths.tobytes()).hexdigest()[:16]
    assert take_features(tiny_vit).fingerprint == expected


def test_non_finite_features_are_raised_or_reported(tmp_path, tiny_vit):
    """A finished training does not fail because of them: its weights are written."""
    with torch.no_grad():
        tiny_vit.norm.bias[3] = float("nan")
    with pytest.raises(InputError, match="the encoder: features of an image are not finite"):
        export_encoder(tmp_path, tiny_vit, {})
    assert list(tmp_path.iterdir()) == []
    problems: list[str] = []
    export_encoder(tmp_path, tiny_vit, {}, problems=problems)
    assert problems == ["the encoder: features of an image are not finite"]
    assert read_encoder_card(tmp_path).features is None
    with pytest.raises(InputError, match=r"safetensors: features of an image are not finite"):
        load_encoder(tmp_path)


def test_drop_path_does_not_change_the_fingerprint_or_the_weights(exported):
    encoder, card = load_encoder(exported, drop_path=0.9, learned_pos_embed=True)
    assert encoder.pos_embed.requires_grad
    assert take_features(encoder.train()).fingerprint == card.fingerprint


class Hostile:
    """Makes a folder when it is unpickled."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ("owned",)


def test_a_malicious_pickle_in_place_of_the_weights_is_not_loaded(exported, monkeypatch):
    weights = exported / "encoder.safetensors"
    monkeypatch.chdir(exported)
    weights.write_bytes(pickle.dumps(Hostile()))
    _rehash(exported)
    with pytest.raises(InputError, match="damaged"):
        load_encoder(exported)
    assert not (exported / "owned").exists()


def _rename_one(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.replace("norm.weight", "norm.scale"): tensors[name] for name in tensors}


def _reshape_one(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**tensors, "cls_token": torch.zeros(1, 2, 32)}


def _scale_one(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**tensors, "norm.weight": -tensors["norm.weight"]}


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (_rename_one, "missing (first: "),
        (_reshape_one, "of another shape (first: cls_token"),
        (_scale_one, "features differ from when it was exported"),
    ],
)
def test_tampered_weights_are_refused_by_hash_and_then_by_content(exported, tamper, message):
    weights = exported / "encoder.safetensors"
    save_file({k: v.contiguous() for k, v in tamper(load_file(weights)).items()}, weights)
    with pytest.raises(InputError, match="sha256 differs"):
        load_encoder(exported)
    _rehash(exported)
    with pytest.raises(InputError) as caught:
        load_encoder(exported)
    assert str(caught.value).startswith(f"{weights}: ")
    assert message in str(caught.value)


def _with(**changes: object) -> Callable[[Path], None]:
    return lambda folder: _edit_card(folder, lambda card: card.update(changes))


def _cut(folder: Path) -> None:
    path = folder / "encoder.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_cut, "encoder.safetensors: damaged"),
        (lambda f: (f / "encoder.safetensors").write_bytes(b""), "encoder.safetensors: damaged"),
        (
            lambda f: (f / "encoder.safetensors").write_text("version https://git-lfs.github.com/"),
            "encoder.safetensors: a Git LFS pointer, no weights; fetch it with `git lfs pull`",
        ),
        (lambda f: (f / "encoder.safetensors").unlink(), "encoder.safetensors: no such file"),
        (lambda f: (f / "encoder.json").unlink(), "encoder.json: no such file"),
        (lambda f: (f / "encoder.json").write_text("{"), "encoder.json: not a JSON file"),
        (lambda f: (f / "encoder.json").write_text("[]"), "encoder.json: must hold a JSON object"),
        (_with(schema=2), "'schema' must be 1, found 2"),
        (lambda f: _edit_card(f, lambda c: c.pop("mean")), "encoder.json: key 'mean' is missing"),
        (_with(meen=[0.5]), "unknown key 'meen'"),
        (_with(features=None), "json: without features"),
        (_with(architecture="swin"), "must be 'vit', 'eva', "),
        (_with(architecture=["vit"]), "must be 'vit', 'eva', "),
        (_with(arguments=[]), "key 'arguments' must be an object"),
        (_with(mean="grey"), "must be a valid list"),
        (_with(std=[]), "must have at least 1 item"),
        (_with(patch_size="8"), "must be a valid integer"),
        (_with(strides=[True]), "key 'strides.0' must be a valid"),
        (_with(strides=[16]), "strides=[16], but its"),
        (_with(widths=[31]), "widths=[31], but its"),
        (
            lambda f: _edit_card(f, lambda c: c["arguments"].update(img_size="32")),
            "encoder.json: img_size='32' must be an integer of 1 or more",
        ),
        (
            lambda f: _edit_card(f, lambda c: c["arguments"].update(patch_size=0)),
            "encoder.json: patch_size=0 must be an integer of 1 or more",
        ),
        (lambda f: _edit_card(f, lambda c: c["arguments"].update(depth=3)), "do not fit"),
        (lambda f: _edit_card(f, lambda c: c["arguments"].update(width=3)), "encoder.json"),
        (_with(fingerprint="0" * 16), "instead of 0000"),
        (_with(features="AAAA"), "must be a valid list"),
        (_with(features=["AA=A"]), "json: damaged features"),
        (_with(features=["AAAA"]), "json: damaged features"),
        (_with(features=["AACAPw=="]), "instead of "),
    ],
)
def test_damaged_or_foreign_exports_are_refused_in_one_line(exported, damage, message):
    damage(exported)
    with pytest.raises(InputError) as caught:
        load_encoder(exported)
    assert message in str(caught.value)


def test_weights_are_written_contiguous_and_on_the_cpu(tmp_path):
    """A transposed view would make safetensors refuse, or store another layout."""
    vit = VisionTransformer(img_size=16, patch_size=8, embed_dim=8, depth=1, num_heads=2)
    transposed = vit.blocks[0].attn.proj.weight.detach().t()
    vit.blocks[0].attn.proj.weight = nn.Parameter(transposed)
    export_encoder(tmp_path, vit, {})
    stored = load_file(tmp_path / "encoder.safetensors")["blocks.0.attn.proj.weight"]
    assert torch.equal(stored, transposed)

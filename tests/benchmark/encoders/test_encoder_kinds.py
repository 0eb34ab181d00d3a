"""Exports of every architecture round-trip, and load as no other architecture."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import torch
from torch import nn

from benchmark.encoders.card import read_encoder_card
from benchmark.encoders.encoder import architecture_of, export_encoder, load_encoder
from benchmark.encoders.fingerprint import take_features
from benchmark.errors import InputError
from benchmark.nn.backbones.base import Encoder

Make = Callable[..., Encoder]


def test_every_architecture_round_trips(tmp_path, kind, make_encoder):
    encoder = make_encoder(kind)
    card = export_encoder(tmp_path, encoder, {"run": kind})
    loaded, again = load_encoder(tmp_path)
    assert type(loaded) is type(encoder)
    assert card == again == read_encoder_card(tmp_path)
    own, other = encoder.state_dict(), loaded.state_dict()
    assert own.keys() == other.keys()
    assert all(torch.equal(own[name], other[name]) for name in own)
    images = torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        pairs = zip(encoder.eval().feature_maps(images), loaded.eval().feature_maps(images))
        assert all(torch.equal(a, b) for a, b in pairs)
    assert card.architecture == architecture_of(encoder) == kind.partition("+")[0]
    assert (card.strides, card.widths) == (list(encoder.strides), list(encoder.widths))
    assert (card.final_norm, card.patch_size) == (encoder.norm_name, encoder.patch_size)
    assert card.num_prefix_tokens == encoder.num_prefix_tokens
    other = make_encoder(kind, seed=1)
    assert (
        take_features(other).fingerprint != card.fingerprint == take_features(encoder).fingerprint
    )


def test_weights_of_another_architecture_are_refused(tmp_path, kind, make_encoder):
    """The weights of each kind under the description of a ViT or, for a ViT, of an Eva."""
    export_encoder(tmp_path, make_encoder(kind), {})
    foreign = make_encoder("eva" if kind.startswith("vit") else "vit")
    described = dict(architecture=architecture_of(foreign), arguments=foreign.arguments)
    described |= dict(strides=[8], widths=[32], patch_size=8)
    path = tmp_path / "encoder.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **described}))
    with pytest.raises(InputError, match="these weights do not fit"):
        load_encoder(tmp_path)


def test_other_modules_have_no_architecture():
    assert architecture_of(nn.Linear(2, 2)) is None


def test_unknown_overrides_are_refused(tmp_path, make_encoder):
    for kind, override, value in (
        ("resnet", "drop_path", 0.1),
        ("unet", "drop_path", 0.1),
        ("eva", "learned_pos_embed", True),
        ("vit", "depth", 2),
    ):
        folder = tmp_path / kind
        export_encoder(folder, make_encoder(kind), {})
        with pytest.raises(InputError, match=f"architecture '{kind}' has no {override}") as caught:
            load_encoder(folder, **{override: value})
        assert str(folder) in str(caught.value)

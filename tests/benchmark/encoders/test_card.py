"""The card of an encoder says what it can take."""

from __future__ import annotations

from typing import get_args

import pytest

from benchmark.encoders.card import Architecture, EncoderCard, check_patches, read_encoder_card
from benchmark.encoders.encoder import ARCHITECTURES, export_encoder
from benchmark.errors import InputError
from benchmark.files import read_json, write_json
from benchmark.nn.vit import VisionTransformer


@pytest.fixture
def card(tmp_path) -> EncoderCard:
    export_encoder(tmp_path, VisionTransformer(32, 16, 32, 1, 4), {})
    return read_encoder_card(tmp_path)


def test_every_architecture_has_a_class():
    assert get_args(Architecture) == tuple(ARCHITECTURES)


def test_an_image_size_that_cannot_be_cut_is_refused(card):
    check_patches(card, 96)
    with pytest.raises(InputError, match=r"size 100 is no multiple of the patch size 16 .* 96$"):
        check_patches(card, 100)
    with pytest.raises(InputError, match=r"size 512 is no multiple of the patch size 14 .* 518$"):
        check_patches(card.model_copy(update={"patch_size": 14, "strides": [14]}), 512)
    with pytest.raises(
        InputError, match=r"size 20 is no multiple of the coarsest stride 32 .* 32$"
    ):
        check_patches(card.model_copy(update={"patch_size": None, "strides": [4, 32]}), 20)


@pytest.mark.parametrize("strides", [[0], [-16], [], "16"])
def test_strides_are_pixels(card, tmp_path, strides):
    write_json(
        tmp_path / "encoder.json", {**read_json(tmp_path / "encoder.json"), "strides": strides}
    )
    with pytest.raises(InputError, match=r"encoder\.json: key 'strides"):
        read_encoder_card(tmp_path)

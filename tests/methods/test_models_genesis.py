"""Models Genesis against its formula in double precision, and its way from frames to a loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from finite_differences import assert_slopes
from numpy_vit import double_weights, layer_norm, patch_tokens, vit_layers
from scipy.special import expit
from torch import Tensor

from benchmark.data.views.corrupted import CorruptedView
from benchmark.method import Progress
from benchmark.nn.corruptions.genesis import LocalShuffling, Painting, RandomFlips
from benchmark.nn.corruptions.intensity_curves import BezierCurve
from benchmark.nn.decoders.mae import LinearDecoder
from methods.models_genesis import ModelsGenesis


@pytest.fixture
def genesis(tiny_vit, randomise) -> ModelsGenesis:
    method = ModelsGenesis(
        views=dict(
            type=CorruptedView,
            size=32,
            flip=0.0,
            changes=[dict(type=RandomFlips)],
            corruptions=[
                dict(type=LocalShuffling, windows=50),
                dict(type=BezierCurve),
                dict(type=Painting),
            ],
        ),
        encoder=tiny_vit,
        decoder=dict(type=LinearDecoder),
    )
    randomise(method.decoder, 4)
    return method


@pytest.fixture
def views(tiny_views: dict[str, Tensor]) -> dict[str, Tensor]:
    """A corrupted image and, here, a clean one that has nothing to do with it."""
    clean = np.random.default_rng(7).uniform(0, 1, (4, 1, 32, 32))
    return {"image": tiny_views["image"], "clean": torch.from_numpy(clean).float()}


def test_loss_and_gradients_match_the_paper(
    genesis: ModelsGenesis, views: dict[str, Tensor]
) -> None:
    encoder, decoder = double_weights(genesis.encoder), double_weights(genesis.decoder)
    images, clean = views["image"].double().numpy(), views["clean"].double().numpy()

    def loss() -> float:
        errors = []
        for image, target in zip(images, clean):
            x = vit_layers(patch_tokens(image, encoder), encoder)[-1]
            x = layer_norm(x, encoder, "norm")[1:]
            restored = expit(x @ decoder["pred.weight"].T + decoder["pred.bias"])
            for number, patch in enumerate(restored):
                top, left = number // 4 * 8, number % 4 * 8
                pixels = target[0, top : top + 8, left : left + 8]
                errors.append((patch.reshape(8, 8) - pixels) ** 2)
        return float(np.mean(errors))

    terms = genesis.loss(views, Progress())
    assert list(terms) == ["loss_restoration"]
    assert terms["loss_restoration"].item() == pytest.approx(loss(), rel=1e-5)
    terms["loss_restoration"].backward()
    places = [
        (genesis.encoder, encoder, "cls_token", (0, 0, 5)),
        (genesis.encoder, encoder, "patch_embed.proj.weight", (3, 1, 2, 2)),
        (genesis.encoder, encoder, "blocks.0.attn.qkv.weight", (40, 3)),
        (genesis.encoder, encoder, "norm.bias", (3,)),
        (genesis.decoder, decoder, "pred.weight", (9, 4)),
    ]
    assert_slopes(loss, places)

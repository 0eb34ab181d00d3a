"""Models Genesis against its formula in double precision, and its way from frames to a loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from finite_differences import slope
from numpy_vit import block, double_weights, layer_norm, to_patches
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


@pytest.fixture
def batch() -> dict[str, Tensor]:
    rng = np.random.default_rng(0)
    return {
        "frame": torch.from_numpy(rng.integers(0, 256, (3, 64, 64), dtype=np.uint8)),
        "valid": torch.tensor([[64, 64], [50, 64], [64, 40]]),
        "index": torch.tensor([4, 0, 77]),
    }


def test_loss_and_gradients_match_the_paper(
    genesis: ModelsGenesis, views: dict[str, Tensor]
) -> None:
    """The mean of (sigmoid − grey)² over all pixels, each patch from its own token, in numpy."""
    encoder, decoder = double_weights(genesis.encoder), double_weights(genesis.decoder)
    images, clean = views["image"].double().numpy(), views["clean"].double().numpy()

    def loss() -> float:
        errors = []
        for image, target in zip(images, clean):
            kernel = encoder["patch_embed.proj.weight"].transpose(0, 2, 3, 1)
            tokens = to_patches(image, 8) @ kernel.reshape(len(kernel), -1).T
            tokens = tokens + encoder["patch_embed.proj.bias"]
            x = np.concatenate([encoder["cls_token"][0], tokens]) + encoder["pos_embed"][0]
            for number in range(2):
                x = block(x, encoder, f"blocks.{number}", 4)
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
        (genesis.encoder.cls_token, encoder["cls_token"], (0, 0, 5)),
        (genesis.encoder.patch_embed.proj.weight, encoder["patch_embed.proj.weight"], (3, 1, 2, 2)),
        (genesis.encoder.blocks[0].attn.qkv.weight, encoder["blocks.0.attn.qkv.weight"], (40, 3)),
        (genesis.encoder.norm.bias, encoder["norm.bias"], (3,)),
        (genesis.decoder.pred.weight, decoder["pred.weight"], (9, 4)),
    ]
    for parameter, array, place in places:
        found = slope(loss, array, place)
        assert parameter.grad[place].item() == pytest.approx(found, rel=2e-3, abs=2e-7)


def test_features_are_observed(genesis: ModelsGenesis, views: dict[str, Tensor]) -> None:
    genesis.loss(views, Progress())
    (observed,) = genesis.observed
    expected = genesis.encoder(views["image"])[:, 1:].mean(dim=1)
    torch.testing.assert_close(observed, expected.detach())


def test_step_from_frames_to_loss(genesis: ModelsGenesis, batch: dict[str, Tensor]) -> None:
    """Frames go through corruption and loss as in training, the same each time."""

    def loss(epoch: int) -> float:
        genesis.progress = genesis.views.progress = Progress(seed=2, epoch=epoch, epochs=5)
        views = genesis.data_preprocessor(batch)["views"]
        assert 0 <= views["clean"].min() <= views["clean"].max() <= 1
        return genesis(views, mode="loss")["loss_restoration"].item()

    first = loss(0)
    assert loss(1) != first
    assert loss(0) == first

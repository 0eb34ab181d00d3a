"""CrossMAE against its formulas in double precision, and its official checkpoint."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from finite_differences import assert_slopes
from numpy_vit import (
    Weights,
    double_weights,
    layer_norm,
    linear,
    patch_tokens,
    to_patches,
    vit_layers,
)
from official_shapes import Shapes, encoder, load_official, norm
from official_shapes import linear as linear_shapes
from scipy.special import erf, softmax
from torch import Tensor

from benchmark.data.views.single import SingleView
from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.nn.decoders.cross_attention import CrossAttentionDecoder
from benchmark.nn.masking.random import RandomMasking, mask_highest
from benchmark.nn.objectives.pixels import PixelReconstruction
from benchmark.nn.vit import VisionTransformer
from methods.crossmae import OFFICIAL_NAMES, CrossMAE

Factory = Callable[..., CrossMAE]


@pytest.fixture
def crossmae(randomise) -> Factory:
    def make(predicted: float = 0.5, final_norm: bool = False) -> CrossMAE:
        torch.manual_seed(0)
        vit = VisionTransformer(32, 8, 32, depth=2, num_heads=4, final_norm=final_norm)
        method = CrossMAE(
            views=dict(type=SingleView, size=32),
            encoder=vit,
            decoder=dict(type=CrossAttentionDecoder, width=16, depth=3, num_heads=2),
            masking=dict(type=RandomMasking, ratio=0.75),
            objective=dict(type=PixelReconstruction),
            predicted=predicted,
        )
        return randomise(method, 1)

    return make


def cross_block(x: np.ndarray, y: np.ndarray, weights: Weights, name: str) -> np.ndarray:
    """x + CrossAttn(LN x, y) and + MLP(LN x), two heads, for one sample."""
    width = x.shape[1] // 2
    query = linear(layer_norm(x, weights, f"{name}.norm1"), weights, f"{name}.cross_attn.q")
    key, value = np.split(linear(y, weights, f"{name}.cross_attn.kv"), 2, axis=1)
    outputs = []
    for head in range(2):
        part = slice(head * width, (head + 1) * width)
        attention = softmax(query[:, part] @ key[:, part].T / np.sqrt(width), axis=1)
        outputs.append(attention @ value[:, part])
    x = x + linear(np.concatenate(outputs, axis=1), weights, f"{name}.cross_attn.proj")
    hidden = linear(layer_norm(x, weights, f"{name}.norm2"), weights, f"{name}.mlp.fc1")
    return x + linear(hidden * 0.5 * (1 + erf(hidden / np.sqrt(2))), weights, f"{name}.mlp.fc2")


def paper_loss(vit: Weights, decoder: Weights, views: dict[str, Tensor], count: int) -> float:
    """Mean squared error of the `count` patches that are masked last, normalised targets."""
    losses = []
    for image, noise in zip(views["image"].double().numpy(), views["mask_noise"].numpy()):
        order = np.argsort(noise)
        visible, predicted = order[:4], order[len(order) - count :]
        maps = vit_layers(patch_tokens(image, vit), vit, visible=visible)

        x = decoder["mask_token"][0] + decoder["decoder_pos_embed"][0, 1 + predicted]
        for number in range(3):
            shares = decoder["wfm.linear.weight"][number]
            mixture = sum(share * tokens for share, tokens in zip(shares, maps))
            y = layer_norm(mixture, decoder, f"dec_norms.{number}")
            x = cross_block(x, y, decoder, f"decoder_blocks.{number}")
        x = linear(layer_norm(x, decoder, "decoder_norm"), decoder, "decoder_pred")
        targets = to_patches(image, 8)[predicted]
        mean, variance = targets.mean(axis=1), targets.var(axis=1, ddof=1)
        targets = (targets - mean[:, None]) / np.sqrt(variance + 1e-6)[:, None]
        losses.append(((x - targets) ** 2).mean())
    return float(np.mean(losses))


@pytest.mark.parametrize("predicted", [0.25, 0.5, 0.75])
def test_loss_and_gradients_match_the_paper(
    crossmae: Factory, tiny_views: dict[str, Tensor], predicted: float
) -> None:
    method = crossmae(predicted)
    vit, decoder = double_weights(method.encoder), double_weights(method.decoder)

    def loss() -> float:
        return paper_loss(vit, decoder, tiny_views, int(16 * predicted))

    terms = method.loss(tiny_views, Progress())
    assert terms["loss_reconstruction"].item() == pytest.approx(loss(), rel=1e-5)
    terms["loss_reconstruction"].backward()
    places = [
        (method.encoder, vit, "cls_token", (0, 0, 5)),
        (method.encoder, vit, "patch_embed.proj.weight", (3, 1, 2, 4)),
        (method.encoder, vit, "blocks.1.mlp.fc2.weight", (3, 7)),
        (method.decoder, decoder, "wfm.linear.weight", (1, 0)),
        (method.decoder, decoder, "dec_norms.2.weight", (9,)),
        (method.decoder, decoder, "mask_token", (0, 0, 2)),
        (method.decoder, decoder, "decoder_blocks.0.cross_attn.kv.weight", (20, 3)),
    ]
    assert_slopes(loss, places)


@pytest.mark.parametrize(("patches", "ratio"), [(196, 0.75), (196, 0.5), (144, 0.75), (64, 0.625)])
def test_number_of_predicted_patches_matches_the_released_code(
    crossmae: Factory, patches: int, ratio: float
) -> None:
    """It leaves out int(N · (mask ratio − p)) masked patches; those masked last remain."""
    noise = torch.rand(3, patches, generator=torch.Generator().manual_seed(0))
    visible = int(patches * (1 - ratio))
    mask = mask_highest(noise, visible)
    for predicted in (0.125, 0.25, 0.3, ratio):
        ids = crossmae(predicted).patches_to_predict(mask)
        first = visible + int(patches * (ratio - predicted))
        assert torch.equal(ids, noise.argsort(dim=1)[:, first:])


def test_official_checkpoint_fits(crossmae: Factory) -> None:
    """The encoder has no `norm.*`."""
    shapes: Shapes = encoder(32, 2, 16, 8, final_norm=False) | norm("decoder_norm", 16)
    shapes |= {"mask_token": (1, 1, 16), "decoder_pos_embed": (1, 17, 16)}
    shapes |= {"wfm.linear.weight": (3, 3), **linear_shapes("decoder_pred", 16, 192)}
    for number in range(3):
        name = f"decoder_blocks.{number}"
        shapes |= norm(f"dec_norms.{number}", 32) | norm(f"{name}.norm1", 16)
        shapes |= linear_shapes(f"{name}.cross_attn.q", 16, 16)
        shapes |= linear_shapes(f"{name}.cross_attn.kv", 32, 32)
        shapes |= linear_shapes(f"{name}.cross_attn.proj", 16, 16) | norm(f"{name}.norm2", 16)
        shapes |= linear_shapes(f"{name}.mlp.fc1", 16, 64) | linear_shapes(
            f"{name}.mlp.fc2", 64, 16
        )
    load_official(crossmae(), shapes, OFFICIAL_NAMES)


def test_invalid_arguments_are_refused(crossmae: Factory, tiny_views: dict[str, Tensor]) -> None:
    with pytest.raises(InputError, match=r"encoder\.final_norm must be False"):
        crossmae(final_norm=True)
    with pytest.raises(InputError, match=r"predicted=0 must lie in \(0, 1\)"):
        crossmae(predicted=0)
    with pytest.raises(InputError, match=r"predicted=0\.9 of 16 patches are more than the 12"):
        crossmae(predicted=0.9).loss(tiny_views, Progress())

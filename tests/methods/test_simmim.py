"""SimMIM against its formula in double precision and against mmpretrain's parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from finite_differences import assert_slopes
from mmpretrain.models.losses import PixelReconstructionLoss
from mmpretrain.models.necks import SimMIMLinearDecoder
from numpy_vit import double_weights, layer_norm, patch_tokens, to_patches, vit_layers
from scipy.stats import truncnorm
from torch import Tensor

from benchmark.data.views.single import SingleView
from benchmark.method import Progress
from benchmark.nn.decoders.mae import LinearDecoder
from benchmark.nn.masking.blocks import UnitMasking
from benchmark.nn.objectives.pixels import PixelReconstruction
from benchmark.nn.vit import VisionTransformer
from methods.simmim import SimMIM, initialise_like_simmim


def make(**encoder: float | bool) -> SimMIM:
    """32² pixels, 4×4 patches of 8², units of 16²: two of the four units are masked."""
    arguments = dict(
        type=VisionTransformer,
        img_size=32,
        patch_size=8,
        embed_dim=32,
        depth=2,
        num_heads=4,
        layer_scale=0.1,
        learned_pos_embed=True,
    )
    return SimMIM(
        views=dict(type=SingleView, size=32),
        encoder={**arguments, **encoder},
        decoder=dict(type=LinearDecoder),
        masking=dict(type=UnitMasking, ratio=0.5, unit=16),
        objective=dict(type=PixelReconstruction, normalise=False, distance="l1"),
    )


@pytest.fixture
def simmim(randomise: Callable) -> SimMIM:
    return randomise(make(), 4)


@pytest.fixture
def views(tiny_views: dict[str, Tensor]) -> dict[str, Tensor]:
    """The noise of a mask is that of its four units."""
    return {**tiny_views, "mask_noise": tiny_views["mask_noise"][:, :4].contiguous()}


def masked_patches(noise: np.ndarray) -> list[int]:
    """The two units of highest noise, as patches of 8² pixels."""
    chosen = np.argsort(noise)[2:]
    return [
        row * 4 + column
        for row in range(4)
        for column in range(4)
        if row // 2 * 2 + column // 2 in chosen
    ]


def paper_loss(weights: Mapping[str, np.ndarray], views: dict[str, Tensor]) -> float:
    """The mean absolute error over the masked pixels of a batch, sample by sample in numpy.

    Layer scale multiplies what a branch adds, so here it multiplies the branch's last layer.
    """
    encoder = {name.removeprefix("encoder."): value for name, value in weights.items()}
    for name in [name for name in encoder if name.endswith(".gamma")]:
        layer = name.replace("ls1.gamma", "attn.proj").replace("ls2.gamma", "mlp.fc2")
        encoder[f"{layer}.weight"] = encoder[f"{layer}.weight"] * encoder[name][:, None]
        encoder[f"{layer}.bias"] = encoder[f"{layer}.bias"] * encoder[name]
    total = count = 0.0
    for image, noise in zip(views["image"].double().numpy(), views["mask_noise"].numpy()):
        masked = masked_patches(noise)
        patches, tokens = to_patches(image, 8), patch_tokens(image, encoder)
        tokens[masked] = weights["mask_token"][0]
        x = layer_norm(vit_layers(tokens, encoder)[-1], encoder, "norm")[1:]
        prediction = x @ weights["decoder.pred.weight"].T + weights["decoder.pred.bias"]
        total += np.abs(prediction - patches)[masked].sum()
        count += len(masked) * patches.shape[1]
    return total / count


def test_loss_and_gradient_match_the_paper(simmim: SimMIM, views: dict[str, Tensor]) -> None:
    terms = simmim.loss(views, Progress())
    weights = double_weights(simmim)
    assert terms["loss_reconstruction"].item() == pytest.approx(
        paper_loss(weights, views), rel=1e-5
    )
    terms["loss_reconstruction"].backward()
    places = [
        ("mask_token", (0, 0, 3)),
        ("encoder.cls_token", (0, 0, 5)),
        ("encoder.pos_embed", (0, 6, 3)),
        ("encoder.patch_embed.proj.weight", (3, 1, 2, 2)),
        ("encoder.blocks.0.attn.qkv.weight", (40, 3)),
        ("encoder.blocks.0.ls1.gamma", (7,)),
        ("encoder.blocks.1.mlp.fc2.weight", (3, 7)),
        ("encoder.norm.weight", (3,)),
        ("decoder.pred.weight", (9, 4)),
    ]
    assert_slopes(
        lambda: paper_loss(weights, views),
        [(simmim, weights, name, place) for name, place in places],
    )


@torch.no_grad()
def test_head_and_loss_match_mmpretrain(simmim: SimMIM, views: dict[str, Tensor]) -> None:
    """A 1×1 convolution with pixel shuffle, its rows in another order, and the L1 of pixels."""
    mask = simmim.masking(views, Progress())
    reconstruction = simmim.reconstruct(views["image"], mask)
    tokens = simmim.encoder.embed(views["image"], replace=(mask.mask, simmim.mask_token))
    tokens = simmim.encoder.norm(simmim.encoder.layers(tokens)[-1])[:, 1:]

    theirs = SimMIMLinearDecoder(in_channels=32, encoder_stride=8)
    # (row, column, channel) to (channel, row, column).
    weight = simmim.decoder.pred.weight.unflatten(0, (8, 8, 3)).permute(2, 0, 1, 3)
    theirs.decoder[0].weight.copy_(weight.flatten(0, 2)[..., None, None])
    bias = simmim.decoder.pred.bias.unflatten(0, (8, 8, 3)).permute(2, 0, 1)
    theirs.decoder[0].bias.copy_(bias.flatten())
    image = theirs(tokens.transpose(1, 2).unflatten(2, (4, 4)))
    ours = simmim.objective.image(reconstruction, views["image"])
    torch.testing.assert_close(ours, image, rtol=0, atol=1e-6)

    pixels = mask.mask.unflatten(1, (1, 4, 4)).repeat_interleave(8, 2).repeat_interleave(8, 3)
    expected = PixelReconstructionLoss("L1", channel=3)(image, views["image"], pixels)
    loss = simmim.loss(views, Progress())["loss_reconstruction"]
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_initial_weights() -> None:
    """Normal of spread 0.02 cut at ±0.02, smaller and smaller in the last layers of the blocks."""
    spread = truncnorm(-1, 1, scale=0.02).std()
    assert spread == pytest.approx(0.0108, abs=1e-4)
    simmim = make(embed_dim=128, depth=3, num_heads=2)
    encoder = simmim.encoder
    for number, blk in enumerate(encoder.blocks):
        for weight in (blk.attn.qkv.weight, blk.mlp.fc1.weight):
            assert weight.std().item() == pytest.approx(spread, rel=0.03)
            assert 0.0199 < weight.abs().max() <= 0.02
        for layer in (blk.attn.proj, blk.mlp.fc2):
            expected = spread / np.sqrt(2 * (number + 1))
            assert layer.weight.std().item() == pytest.approx(expected, rel=0.03)
            assert not layer.bias.any()
        assert blk.ls1.gamma.unique().tolist() == pytest.approx([0.1])
    for weight in (encoder.patch_embed.proj.weight, encoder.pos_embed, encoder.cls_token):
        assert weight.std().item() == pytest.approx(spread, rel=0.15)
        assert weight.abs().max() <= 0.02
    assert not encoder.patch_embed.proj.bias.any()
    assert simmim.mask_token.abs().max() <= 0.02
    fixed = VisionTransformer(img_size=32, patch_size=8, embed_dim=32, depth=1, num_heads=2)
    before = fixed.pos_embed.clone()
    initialise_like_simmim(fixed)
    assert torch.equal(fixed.pos_embed, before)

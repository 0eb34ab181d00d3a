"""Frepa against its formulas in double precision, and its official checkpoint."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from finite_differences import assert_slopes
from numpy_distillation import part_of
from numpy_vit import Weights, block, double_weights, patch_tokens
from official_shapes import Shapes, linear, load_official, norm
from torch import Tensor

from benchmark.data.views.corrupted import CorruptedView
from benchmark.method import Progress
from benchmark.nn.backbones.sam import SAMEncoder
from benchmark.nn.corruptions.frequency import CellNoise, EitherCorruption, SpectrumNoise
from benchmark.nn.corruptions.intensity_curves import HistogramShift
from benchmark.nn.decoders.convolutional import ConvDecoder
from benchmark.nn.objectives.frequency import HighFrequencyLoss
from methods.frepa import OFFICIAL_NAMES, Frepa

LOSSES = ("loss_image", "loss_gradient", "loss_high_frequency")


def make(**sizes) -> Frepa:
    arguments = dict(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=4)
    arguments |= dict(window_size=0, global_blocks=(), rel_pos=False, neck_channels=16)
    return Frepa(
        views=dict(
            type=CorruptedView,
            size=32,
            changes=[dict(type=HistogramShift)],
            corruptions=[
                dict(
                    type=EitherCorruption,
                    first=dict(type=CellNoise, cells=8),
                    second=dict(type=SpectrumNoise, cells=8),
                )
            ],
        ),
        encoder=dict(type=SAMEncoder, **{**arguments, **sizes}),
        decoder=dict(type=ConvDecoder),
        high_frequency=dict(type=HighFrequencyLoss),
    )


@pytest.fixture
def frepa(randomise) -> Frepa:
    # The reference layers have this epsilon.
    return randomise(make(norm_eps=1e-6), 3)


@pytest.fixture
def views(tiny_views: dict[str, Tensor]) -> dict[str, Tensor]:
    clean = np.random.default_rng(7).uniform(0, 1, (4, 1, 32, 32))
    return {"image": tiny_views["image"], "clean": torch.from_numpy(clean).float()}


def convolve(maps: np.ndarray, weights: Weights, name: str) -> np.ndarray:
    """C×H×W with a 3×3 kernel, zeros around."""
    kernel = weights[f"{name}.weight"]
    height, width = maps.shape[1:]
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)))
    result = np.zeros((len(kernel), height, width))
    for row in range(3):
        for column in range(3):
            shifted = padded[:, row : row + height, column : column + width]
            result += np.einsum("oc,chw->ohw", kernel[:, :, row, column], shifted)
    bias = weights.get(f"{name}.bias")
    return result if bias is None else result + bias[:, None, None]


def channel_norm(maps: np.ndarray, weights: Weights, name: str) -> np.ndarray:
    """LayerNorm over the channels of every place."""
    centred = maps - maps.mean(axis=0)
    scaled = centred / np.sqrt((centred**2).mean(axis=0) + 1e-6)
    return (
        scaled * weights[f"{name}.weight"][:, None, None] + weights[f"{name}.bias"][:, None, None]
    )


def restore(images: np.ndarray, weights: Weights) -> np.ndarray:
    """B×3×32×32 by the encoder, sample by sample, and the decoder with statistics of the batch."""
    features, encoder = [], part_of(weights, "encoder.")
    for image in images:
        x = patch_tokens(image, encoder) + encoder["pos_embed"].reshape(16, -1)
        for number in range(2):
            x = block(x, weights, f"encoder.blocks.{number}", 4)
        maps = x.T.reshape(-1, 4, 4)
        maps = np.einsum("oc,chw->ohw", weights["encoder.neck.0.weight"][:, :, 0, 0], maps)
        maps = channel_norm(maps, weights, "encoder.neck.1")
        maps = channel_norm(convolve(maps, weights, "encoder.neck.2"), weights, "encoder.neck.3")
        features.append(maps)
    for stage in range(3):
        features = [maps.repeat(2, axis=1).repeat(2, axis=2) for maps in features]
        for conv, scale in (("up.1", "up.2"), ("conv.0", "conv.1")):
            name = f"decoder.stages.{stage}"
            maps = np.stack([convolve(one, weights, f"{name}.{conv}") for one in features])
            maps = maps - maps.mean(axis=(0, 2, 3), keepdims=True)
            maps = maps / np.sqrt((maps**2).mean(axis=(0, 2, 3), keepdims=True) + 1e-5)
            maps = maps * weights[f"{name}.{scale}.weight"][:, None, None]
            features = np.maximum(maps + weights[f"{name}.{scale}.bias"][:, None, None], 0)
    return np.stack([convolve(maps, weights, "decoder.last") for maps in features])


def paper_losses(restored: np.ndarray, clean: np.ndarray) -> tuple[float, float, float]:
    """RMSE of the batch, differences of neighbours, and five high-pass filters."""
    error = restored - clean
    rows, columns = np.diff(error, axis=2), np.diff(error, axis=3)
    place = np.arange(32) - 16
    square = place[:, None] ** 2 + place[None, :] ** 2
    high = 0.0
    for level in range(1, 6):
        kept = 1 - np.exp(-square / (10 * level * 32 / 512) ** 2)
        spectrum = np.fft.fftshift(np.fft.fft2(error), axes=(2, 3)) * kept
        high += np.abs(np.fft.ifft2(np.fft.ifftshift(spectrum, axes=(2, 3))).real).mean()
    gradient = np.abs(rows).mean() + np.abs(columns).mean()
    return float(np.sqrt((error**2).mean())), float(gradient), 0.2 * float(high)


def test_losses_and_gradients_match_the_paper(frepa: Frepa, views: dict[str, Tensor]) -> None:
    weights = double_weights(frepa)
    images, clean = views["image"].double().numpy(), views["clean"].double().numpy()
    expected = paper_losses(restore(images, weights), clean)
    terms = frepa.loss(views, Progress())
    assert tuple(terms) == LOSSES
    for name, value in zip(LOSSES, expected):
        assert terms[name].item() == pytest.approx(value, rel=1e-5), name

    # In double precision: rounding would turn some of the many ReLUs.
    frepa.double()
    sum(frepa.loss({k: v.double() for k, v in views.items()}, Progress()).values()).backward()
    places = [
        ("encoder.pos_embed", (0, 1, 2, 5)),
        ("encoder.patch_embed.proj.weight", (3, 1, 2, 2)),
        ("encoder.blocks.0.attn.qkv.weight", (40, 3)),
        ("encoder.neck.2.weight", (3, 2, 1, 0)),
        ("decoder.stages.0.up.1.weight", (2, 5, 0, 1)),
        ("decoder.stages.2.conv.1.bias", (1,)),
        ("decoder.last.weight", (1, 0, 2, 2)),
    ]
    assert_slopes(
        lambda: sum(paper_losses(restore(images, weights), clean)),
        [(frepa, weights, name, place) for name, place in places],
        rel=1e-4,
        abs=1e-8,
        step=1e-6,
    )


def test_a_perfect_restoration_has_finite_gradients(frepa: Frepa, views) -> None:
    """The slope of the root is infinite at 0 without its epsilon."""
    torch.nn.init.zeros_(frepa.decoder.last.weight)
    torch.nn.init.zeros_(frepa.decoder.last.bias)
    terms = frepa.loss({**views, "clean": torch.zeros(4, 1, 32, 32)}, Progress())
    assert terms["loss_image"].item() == pytest.approx(0, abs=2e-6)
    sum(terms.values()).backward()
    assert all(p.grad.isfinite().all() for p in frepa.parameters())


def official_shapes(width: int, neck: int) -> Shapes:
    """Names and shapes of the released ViT, two blocks on 4×4 patches of four channels."""
    shapes: Shapes = {
        "encoder.patch_embed.proj.weight": (width, 4, 16, 16),
        "encoder.patch_embed.proj.bias": (width,),
        "encoder.pos_embed": (1, 4, 4, width),
        "encoder.neck.0.weight": (neck, width, 1, 1),
        **norm("encoder.neck.1", neck),
        "encoder.neck.2.weight": (neck, neck, 3, 3),
        **norm("encoder.neck.3", neck),
    }
    for number in range(2):
        name = f"encoder.blocks.{number}"
        shapes |= norm(f"{name}.norm1", width) | linear(f"{name}.attn.qkv", width, 3 * width)
        shapes |= linear(f"{name}.attn.proj", width, width) | norm(f"{name}.norm2", width)
        shapes |= linear(f"{name}.mlp.lin1", width, 4 * width)
        shapes |= linear(f"{name}.mlp.lin2", 4 * width, width)
    for stage in (5, 4, 3, 2):
        for name, first, inputs in (
            (f"Up{stage}.up", 1, neck),
            (f"Up_conv{stage}.conv", 0, neck // 2),
        ):
            shapes[f"decoder.{name}.{first}.weight"] = (neck // 2, inputs, 3, 3)
            shapes[f"decoder.{name}.{first}.bias"] = (neck // 2,)
            scale = f"decoder.{name}.{first + 1}"
            shapes |= norm(scale, neck // 2)
            shapes |= {f"{scale}.running_mean": (neck // 2,), f"{scale}.running_var": (neck // 2,)}
            shapes[f"{scale}.num_batches_tracked"] = ()
        neck //= 2
    return shapes | {"decoder.Conv.weight": (3, neck, 3, 3), "decoder.Conv.bias": (3,)}


def test_official_checkpoint_fits() -> None:
    """Of its own size and four channels."""
    method = make(img_size=64, patch_size=16, in_channels=4, neck_channels=32)
    load_official(method, official_shapes(32, 32), OFFICIAL_NAMES)

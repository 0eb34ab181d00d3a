"""LPIPS and the contextual loss against their formulas in double precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.nn.objectives.perceptual import (
    LPIPS,
    LPIPS_LAYERS,
    VGG16,
    ContextualLoss,
    contextual_distance,
)


@pytest.fixture(scope="module")
def vgg() -> VGG16:
    torch.manual_seed(1)
    return VGG16(None)


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, 32, 32, generator=generator)
    return (images + 0.3 * torch.randn(2, 3, 32, 32, generator=generator)), images


def plain_features(vgg: VGG16, images: Tensor, last: dict[str, int]) -> list[np.ndarray]:
    """VGG-16 as it is drawn: blocks of 2, 2, 3, 3, 3 convolutions with rectifiers, then pooling.

    Args:
        last: for each block, how many of its convolutions are run before the output is taken.
    """
    convolutions = iter(layer for layer in vgg.features if isinstance(layer, nn.Conv2d))
    found, x = [], images.double()
    for block, depth in enumerate((2, 2, 3, 3, 3), start=1):
        for number in range(1, depth + 1):
            layer = next(convolutions)
            x = torch.conv2d(x, layer.weight.double(), layer.bias.double(), padding=1).clamp_min(0)
            if last.get(f"relu{block}_{number}"):
                found.append(x.numpy())
        x = x.unfold(2, 2, 2).unfold(3, 2, 2).amax(dim=(4, 5))
    return found


@torch.no_grad()
def test_features_match_vgg16(vgg: VGG16, pair: tuple[Tensor, Tensor]) -> None:
    """All thirteen rectifiers, one by one; 14,714,688 parameters, none of them trained."""
    names = [
        f"relu{b}_{n}" for b, depth in enumerate((2, 2, 3, 3, 3), 1) for n in range(1, depth + 1)
    ]
    expected = plain_features(vgg, pair[0], dict.fromkeys(names, 1))
    found = vgg(pair[0], names)
    assert len(found) == len(expected) == 13
    for ours, theirs in zip(found, expected):
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(ours.numpy() / scale, theirs / scale, rtol=0, atol=1e-5)
    assert sum(p.numel() for p in vgg.parameters()) == 14_714_688
    assert not any(p.requires_grad for p in vgg.parameters())
    assert len(vgg(pair[0], ("relu2_1",))) == 1


def loop_lpips(
    ours: list[np.ndarray], theirs: list[np.ndarray], weights: list[np.ndarray]
) -> float:
    """Equation 1: unit length per place, weighted squares, mean over places, sum over layers."""
    total = 0.0
    for a, b, weight in zip(ours, theirs, weights):
        distances = []
        for sample, row, column in np.ndindex(len(a), *a.shape[2:]):
            x, y = a[sample, :, row, column], b[sample, :, row, column]
            x, y = x / max(np.linalg.norm(x), 1e-12), y / max(np.linalg.norm(y), 1e-12)
            distances.append((weight * (x - y) ** 2).sum())
        total += np.mean(distances)
    return total


def test_lpips(vgg: VGG16, pair: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    """With learned weights from a file: the formula, 0 for equal images, a gradient for I′ only."""
    rng = np.random.default_rng(3)
    weights = [rng.uniform(0, 1, channels) for channels in LPIPS_LAYERS.values()]
    state = {
        f"lin{number}.model.1.weight": torch.from_numpy(weight).float()[None, :, None, None]
        for number, weight in enumerate(weights)
    }
    torch.save(state, tmp_path / "vgg.pth")
    lpips = LPIPS(vgg, str(tmp_path / "vgg.pth"))
    reconstructed, images = pair[0].clone().requires_grad_(), pair[1].clone().requires_grad_()
    loss = lpips.compare(reconstructed, images)
    features = [plain_features(vgg, image, dict.fromkeys(LPIPS_LAYERS, 1)) for image in pair]
    assert loss.item() == pytest.approx(loop_lpips(*features, weights), rel=1e-4)
    assert lpips.compare(pair[1], pair[1]).item() == 0
    loss.backward()
    assert images.grad is None
    assert reconstructed.grad.isfinite().all()

    # Uphill the loss rises as steeply as the gradient is long.
    steepness = reconstructed.grad.norm()
    uphill = reconstructed.grad / steepness
    with torch.no_grad():
        ends = [lpips.compare(pair[0] + s * uphill, pair[1]).item() for s in (0.02, -0.02)]
    assert (ends[0] - ends[1]) / 0.04 == pytest.approx(steepness.item(), rel=0.02)

    plain = LPIPS(vgg, None).compare(*pair).item()
    equal = [np.full(channels, 1 / channels) for channels in LPIPS_LAYERS.values()]
    assert plain == pytest.approx(loop_lpips(*features, equal), rel=1e-4)


def test_flat_images_have_finite_gradients() -> None:
    """Where a feature vector is zero its direction is undefined, but not its gradient."""

    class Rectifier(nn.Module):
        def forward(self, images: Tensor, layers: tuple[str, ...]) -> list[Tensor]:
            return [images.clamp_min(0).repeat(1, 64, 1, 1)]

    lpips = LPIPS(Rectifier(), None)
    image = torch.full((1, 1, 4, 4), -1.0, requires_grad=True)
    lpips.compare(image, torch.ones(1, 1, 4, 4)).backward()
    assert image.grad.isfinite().all()


def loop_contextual(x: np.ndarray, y: np.ndarray, bandwidth: float) -> float:
    """Equations 1 to 5 for one image, points as columns."""
    centre = y.mean(axis=1, keepdims=True)
    x, y = x - centre, y - centre
    distance = np.array(
        [[1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in y.T] for a in x.T]
    )
    relative = distance / (distance.min(axis=1, keepdims=True) + 1e-5)
    shares = softmax((1 - relative) / bandwidth, axis=1)  # w_ij / Σ_k w_ik
    return float(-np.log(shares.max(axis=0).mean()))


@pytest.mark.parametrize("bandwidth", [0.1, 0.5])
def test_contextual_distance(bandwidth: float) -> None:
    """Sets of 12 and 15 points in 6 dimensions; and its gradient by central differences."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 6, 12)), rng.normal(size=(2, 6, 15))
    expected = np.mean([loop_contextual(a, b, bandwidth) for a, b in zip(x, y)])
    points = torch.from_numpy(x).float().requires_grad_()
    loss = contextual_distance(points, torch.from_numpy(y).float(), bandwidth)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    for place in ((0, 0, 0), (1, 5, 11), (0, 3, 7)):
        ends = []
        for step in (1e-6, -1e-6):
            moved = x.copy()
            moved[place] += step
            ends.append(np.mean([loop_contextual(a, b, bandwidth) for a, b in zip(moved, y)]))
        expected = (ends[0] - ends[1]) / 2e-6
        assert points.grad[place].item() == pytest.approx(expected, rel=1e-3, abs=1e-5)


@torch.no_grad()
def test_contextual_loss_compares_layers(vgg: VGG16, pair: tuple[Tensor, Tensor]) -> None:
    """Sum over the chosen layers of the distance of their points; near 0 for equal images."""
    layers = ("relu3_2", "relu4_2")
    loss = ContextualLoss(vgg, layers).compare(*pair).item()
    ours, theirs = (plain_features(vgg, image, dict.fromkeys(layers, 1)) for image in pair)
    expected = sum(
        np.mean(
            [
                loop_contextual(a.reshape(len(a), -1), b.reshape(len(b), -1), 0.5)
                for a, b in zip(x, y)
            ]
        )
        for x, y in zip(ours, theirs)
    )
    assert loss == pytest.approx(expected, rel=2e-3)
    assert ContextualLoss(vgg, layers).compare(pair[1], pair[1]).item() < 1e-3


def test_mismatched_files_are_refused(vgg: VGG16, tmp_path: Path) -> None:
    """A missing file, other weights, negative weights, unknown layers: one line each."""
    with pytest.raises(InputError, match=r"gone\.pth: no such file"):
        VGG16(str(tmp_path / "gone.pth"))
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "cut.pth")
    with pytest.raises(InputError, match="do not fit VGG16: 25 missing"):
        VGG16(str(tmp_path / "cut.pth"))
    with pytest.raises(InputError, match="no LPIPS weights of VGG"):
        LPIPS(vgg, str(tmp_path / "cut.pth"))
    with pytest.raises(InputError, match="layer 'relu9_1' is not one of relu1_1"):
        ContextualLoss(vgg, layers=("relu9_1",))
    with pytest.raises(InputError, match="names no layer"):
        ContextualLoss(vgg, layers=())


def test_torchvisions_checkpoint_fits(vgg: VGG16, tmp_path: Path) -> None:
    """The features are loaded under torchvision's names, the classifier is left behind."""
    state = {name: value + 1 for name, value in vgg.state_dict().items()}
    state["classifier.0.weight"] = torch.zeros(2, 2)
    torch.save(state, tmp_path / "vgg16.pth")
    loaded = VGG16(str(tmp_path / "vgg16.pth"))
    assert torch.equal(loaded.features[28].bias, vgg.features[28].bias + 1)
    torch.save({f"module.{name}": value for name, value in state.items()}, tmp_path / "ddp.pth")
    loaded = VGG16(str(tmp_path / "ddp.pth"))
    assert torch.equal(loaded.features[0].bias, vgg.features[0].bias + 1)

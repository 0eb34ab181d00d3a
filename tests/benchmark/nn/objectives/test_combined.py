"""Objectives beside MAE's own: other distances, weights and targets, and several at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.nn.masking.random import mask_highest
from benchmark.nn.objectives.base import ImageObjective, Reconstruction
from benchmark.nn.objectives.combined import (
    Objectives,
    build_objective,
    named_terms,
    predicts_pixels,
)
from benchmark.nn.objectives.hog import HOG, HOGReconstruction
from benchmark.nn.objectives.pixels import AnatomyWeightedReconstruction, PixelReconstruction

ZERO = Progress()


def predict(views: dict[str, Tensor], width: int) -> Reconstruction:
    """Ten of sixteen patches masked, `width` random values predicted for each."""
    prediction = torch.randn(4, 16, width, generator=torch.Generator().manual_seed(7))
    mask = mask_highest(views["mask_noise"], keep=6)
    return Reconstruction(prediction.requires_grad_(), mask, 8, (4, 4))


def patch(images: np.ndarray, sample: int, number: int) -> np.ndarray:
    top, left = 8 * (number // 4), 8 * (number % 4)
    return images[sample, :, top : top + 8, left : left + 8].transpose(1, 2, 0).ravel()


@pytest.mark.parametrize(("eta", "plain"), [(1.0, 1.0), (0.5, 1.0), (0.5, 0.0)])
def test_reconstruction_weighted_by_anatomy(
    tiny_views: dict[str, Tensor], eta: float, plain: float
) -> None:
    """L_rec + L_w-rec: the mean error of the masked patches, and once more weighted by f(g_i)."""
    views = {**tiny_views, "probability": torch.rand(4, 1, 32, 32) ** 4}
    views["probability"][3] = 0  # the last frame has no guidance at all
    reconstruction = predict(views, 192)
    images, total, weights, errors = views["image"].double().numpy(), 0.0, 0.0, []
    for sample in range(4):
        guidance = (eta * views["anatomy"] + (1 - eta) * views["probability"])[sample, 0]
        shares = guidance.double().numpy().reshape(4, 8, 4, 8).sum(axis=(1, 3)).ravel()
        shares = shares / max(shares.sum(), 1e-300)
        for number in range(16):
            if reconstruction.mask.mask[sample, number]:
                target = patch(images, sample, number)
                target = (target - target.mean()) / np.sqrt(target.var(ddof=1) + 1e-6)
                predicted = reconstruction.prediction[sample, number].detach().double().numpy()
                errors.append(((predicted - target) ** 2).mean())
                total += shares[number] * errors[-1]
                weights += shares[number]
    arguments = {} if plain else {"plain": 0.0}  # the total is the default
    loss = AnatomyWeightedReconstruction(eta, **arguments)(reconstruction, views, ZERO)
    assert loss.item() == pytest.approx(plain * np.mean(errors) + total / weights, rel=1e-5)
    loss.backward()
    assert bool(reconstruction.prediction.grad[3].any()) == bool(plain)


def test_without_any_guidance_the_weighted_loss_is_zero(tiny_views: dict[str, Tensor]) -> None:
    views = {**tiny_views, "anatomy": torch.zeros(4, 1, 32, 32)}
    reconstruction = predict(views, 192)
    loss = AnatomyWeightedReconstruction(1.0, plain=0.0)(reconstruction, views, ZERO)
    loss.backward()
    assert loss.item() == 0
    assert not reconstruction.prediction.grad.any()


@pytest.mark.parametrize(("cell", "width"), [(8, 27), (4, 108)])
def test_histograms_as_targets(tiny_views: dict[str, Tensor], cell: int, width: int) -> None:
    """Squared error to the histograms of a patch: 2·2·3·9 = 108 values with cells of 4 pixels.

    In a patch: cells in raster order, in each the channels one after the other.
    """
    objective = HOGReconstruction(cell=cell)
    assert objective.width(8, 3) == width
    reconstruction = predict(tiny_views, width)
    loss = objective(reconstruction, tiny_views, ZERO)
    total, count, side = 0.0, 0, 8 // cell
    for sample in range(4):
        (hog,) = HOG(9)(tiny_views["image"][[sample]], (cell,))
        histograms = hog[0].unflatten(0, (3, 9)).double().numpy()
        for number in range(16):
            if reconstruction.mask.mask[sample, number]:
                top, left = number // 4 * side, number % 4 * side
                cells = histograms[:, :, top : top + side, left : left + side]
                target = cells.transpose(2, 3, 0, 1).ravel()
                predicted = reconstruction.prediction[sample, number].detach().double().numpy()
                total += ((predicted - target) ** 2).mean()
                count += 1
    assert loss.item() == pytest.approx(total / count, rel=1e-5)
    loss.backward()
    hidden = reconstruction.mask.mask.bool()
    assert reconstruction.prediction.grad[hidden].any(dim=1).all()
    assert not reconstruction.prediction.grad[~hidden].any()


def test_indivisible_cells_are_refused() -> None:
    with pytest.raises(InputError, match="cell=6 does not divide patch_size=16"):
        HOGReconstruction(cell=6).width(16, 3)


class Brightness(ImageObjective):
    """A stand-in for a perceptual loss: how much brighter I′ is."""

    name = "brightness"

    def compare(self, reconstructed: Tensor, images: Tensor) -> Tensor:
        return (reconstructed - images).mean()


@pytest.fixture
def three() -> Objectives:
    return Objectives(
        [
            dict(type=HOGReconstruction, cell=8, weight=0.5),
            dict(type=PixelReconstruction, normalise=True),
            dict(type=Brightness, weight=2.0),
        ]
    )


def test_each_objective_uses_its_own_values(
    three: Objectives, tiny_views: dict[str, Tensor]
) -> None:
    """27 values are histograms, 192 pixels; the image comes from the pixels; weights multiply."""
    assert three.width(8, 3) == 219
    whole = predict(tiny_views, 219)
    terms = three.terms(whole, tiny_views, ZERO)
    assert list(terms) == ["loss_hog", "loss_reconstruction", "loss_brightness"]
    histograms, pixels = (
        Reconstruction(part, whole.mask, 8, (4, 4)) for part in whole.prediction.split([27, 192], 2)
    )
    hog, reconstruction, _ = three.parts
    expected = {
        "loss_hog": 0.5 * hog(histograms, tiny_views, ZERO),
        "loss_reconstruction": reconstruction(pixels, tiny_views, ZERO),
        "loss_brightness": 2
        * (reconstruction.image(pixels, tiny_views["image"]) - tiny_views["image"]).mean(),
    }
    for name, value in expected.items():
        assert terms[name].item() == pytest.approx(value.item(), rel=1e-6)
    total = three(whole, tiny_views, ZERO)
    assert total.item() == pytest.approx(sum(v.item() for v in expected.values()), rel=1e-6)
    image = three.image(whole, tiny_views["image"])
    assert torch.equal(image, reconstruction.image(pixels, tiny_views["image"]))
    total.backward()
    assert whole.prediction.grad.any(dim=(0, 1)).all()


def test_terms_of_the_same_name_are_numbered(tiny_views: dict[str, Tensor]) -> None:
    both = Objectives([PixelReconstruction(), PixelReconstruction(normalise=False, weight=0.1)])
    terms = both.terms(predict(tiny_views, 384), tiny_views, ZERO)
    assert list(terms) == ["loss_reconstruction", "loss_reconstruction_2"]


def test_a_single_objective_is_the_reconstruction(tiny_views: dict[str, Tensor]) -> None:
    """Logged under the name it always had, with its weight; foreign modules judge pixels."""
    single = build_objective(dict(type=PixelReconstruction, weight=3.0))
    reconstruction = predict(tiny_views, 192)
    terms = named_terms(single, reconstruction, tiny_views, ZERO)
    assert list(terms) == ["loss_reconstruction"]
    alone = single(reconstruction, tiny_views, ZERO)
    assert terms["loss_reconstruction"].item() == pytest.approx(3 * alone.item(), rel=1e-6)

    class Foreign(nn.Module):
        def forward(self, *arguments: object) -> Tensor:
            return torch.ones(())

    assert named_terms(Foreign(), reconstruction, tiny_views, ZERO)["loss_reconstruction"] == 1


def test_image_objectives_need_pixels(three: Objectives, tiny_views: dict[str, Tensor]) -> None:
    for parts in ([Brightness()], [Brightness(), HOGReconstruction()], []):
        with pytest.raises(InputError, match="add a PixelReconstruction to the list"):
            Objectives(parts)
    with pytest.raises(InputError, match="list it together with PixelReconstruction"):
        Brightness()(predict(tiny_views, 0), tiny_views, ZERO)
    histograms = Objectives([HOGReconstruction(), HOGReconstruction(cell=4)])
    with pytest.raises(InputError, match="none in the list predicts pixels"):
        histograms.image(predict(tiny_views, 135), tiny_views["image"])
    kinds = (three, PixelReconstruction(), histograms, HOGReconstruction())
    assert [predicts_pixels(kind) for kind in kinds] == [True, True, False, False]

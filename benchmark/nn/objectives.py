"""What a reconstruction is compared with.

An objective is called as ``objective(reconstruction, views, progress) -> Tensor`` (a scalar). Most
judge what the decoder predicts for the masked patches, and say how many values per patch that is.
Image objectives (`benchmark.nn.perceptual`, `benchmark.nn.distillation`) have no values of their
own and judge I′, the image put together from the predicted pixels. `Objectives` adds several up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.build import build
from benchmark.errors import InputError
from benchmark.hints import Count, Rate
from benchmark.method import Progress
from benchmark.nn.hog import HOG
from benchmark.nn.losses import dice_loss
from benchmark.nn.masking import Mask, patch_weights, vascular_guidance
from benchmark.nn.patches import patchify, standardise, unpatchify


@dataclass(frozen=True)
class Reconstruction:
    """What a masked image model predicts.

    Attributes:
        prediction: B×N×V, every patch; for pixels V = P·P·C, in the space of the pixel objective.
        mask: the masked patches.
        patch_size: P.
        grid_size: rows and columns of patches.
        image: I′, B×C×H×W, where an image objective needs it.
    """

    prediction: Tensor
    mask: Mask
    patch_size: int
    grid_size: tuple[int, int]
    image: Tensor | None = None
    _standardised: dict[int, tuple[Tensor, ...]] = field(default_factory=dict, repr=False)

    def standardised(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The patches of `images` as `standardise` returns them, made once for all who ask."""
        key = id(images)
        if key not in self._standardised:
            patches = standardise(patchify(images, self.patch_size))
            # With the images, whose identity is theirs alone as long as they exist.
            self._standardised[key] = (images, *patches)
        return self._standardised[key][1:]


class Objective(nn.Module):
    """One term of the loss of a masked image model.

    Args:
        weight: factor of the term in the total; a call gives the term without it.
    """

    # The term is logged as ``loss_<name>``.
    name = "reconstruction"

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def width(self, patch_size: int, channels: int) -> int:
        """Values the decoder has to predict for each patch."""
        return patch_size**2 * channels

    def attach(self, encoder: nn.Module) -> None:
        """Called once, with the encoder that is going to be trained."""

    def after_step(self, encoder: nn.Module, progress: Progress) -> None:
        """Update what the optimiser does not."""

    def forward(
        self, reconstruction: Reconstruction, views: dict[str, Tensor], progress: Progress
    ) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} does not define forward()")


def masked_mean(errors: Tensor, mask: Tensor) -> Tensor:
    """Mean of the errors of the masked patches of a whole batch; both B×N."""
    return (errors * mask).sum() / mask.sum()


class PixelReconstruction(Objective):
    """Pixels of the masked patches (MAE, He et al., CVPR 2022, §3; SimMIM, Xie et al., CVPR 2022).

    Args:
        normalise: targets are normalised per patch (`norm_pix_loss` of the MAE code).
        distance: ``"l2"``, the squared error (MAE), or ``"l1"``, the absolute one (SimMIM).
        weight: factor of the term in the total.

    Raises:
        InputError: no such distance.
    """

    def __init__(self, normalise: bool = True, distance: str = "l2", weight: float = 1.0) -> None:
        super().__init__(weight)
        if distance not in ("l1", "l2"):
            raise InputError(f"pixel reconstruction: distance={distance!r} is not l1 or l2")
        self.normalise = normalise
        self.distance = distance

    def errors(self, reconstruction: Reconstruction, images: Tensor) -> Tensor:
        """Mean error of each patch, B×N."""
        if self.normalise:
            target, _, _ = reconstruction.standardised(images)
        else:
            target = patchify(images, reconstruction.patch_size)
        difference = reconstruction.prediction.float() - target
        distance = difference.square() if self.distance == "l2" else difference.abs()
        return distance.mean(dim=-1)

    def forward(
        self, reconstruction: Reconstruction, views: dict[str, Tensor], progress: Progress
    ) -> Tensor:
        return masked_mean(self.errors(reconstruction, views["image"]), reconstruction.mask.mask)

    def image(self, reconstruction: Reconstruction, images: Tensor) -> Tensor:
        """I′: the prediction of all patches as an image, B×C×H×W (VasoMIM).

        Per-patch normalisation is undone with the true mean and deviation of each patch.
        """
        patches = reconstruction.prediction.float()
        if self.normalise:
            _, mean, std = reconstruction.standardised(images)
            patches = torch.addcmul(mean, patches, std)
        return unpatchify(patches, reconstruction.patch_size, reconstruction.grid_size)


class AnatomyWeightedReconstruction(PixelReconstruction):
    """L_w-rec of VasoMIM (AAAI table S5): the reconstruction error, weighted patch by patch by f.

    The mean over the masked patches of a batch becomes a mean with the weights f(g_i), each
    patch's share of its frame's guidance: a frame without guidance does not count.

    Args:
        eta: η of the guidance G = η·B + (1 − η)·M, as in `AnatomyGuidedMasking`.
        normalise, distance, weight: as in `PixelReconstruction`.
    """

    def __init__(
        self,
        eta: Rate = 0.5,
        normalise: bool = True,
        distance: str = "l2",
        weight: float = 1.0,
    ) -> None:
        super().__init__(normalise, distance, weight)
        self.eta = eta

    def forward(
        self, reconstruction: Reconstruction, views: dict[str, Tensor], progress: Progress
    ) -> Tensor:
        share = patch_weights(vascular_guidance(views, self.eta), reconstruction.patch_size)
        weights = share * reconstruction.mask.mask
        errors = self.errors(reconstruction, views["image"])
        return (errors * weights).sum() / weights.sum().clamp_min(1e-12)


class HOGReconstruction(Objective):
    """Gradient histograms of the masked patches (MaskFeat, Wei et al., CVPR 2022, §3).

    The squared error to `HOG` of the image; a patch holds (P/cell)² cells.

    Args:
        cell: side of a cell in pixels; divides the patch size.
        bins: orientations in half a turn.
        weight: factor of the term in the total.
    """

    name = "hog"

    def __init__(self, cell: Count = 8, bins: Count = 9, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.cell = cell
        self.hog = HOG(bins)

    def width(self, patch_size: int, channels: int) -> int:
        """Values per patch: cells × channels × orientations.

        Raises:
            InputError: the cells do not tile a patch.
        """
        if patch_size % self.cell:
            raise InputError(f"HOG: cell={self.cell} does not divide patch_size={patch_size}")
        return (patch_size // self.cell) ** 2 * self.hog.features(channels)

    def forward(
        self, reconstruction: Reconstruction, views: dict[str, Tensor], progress: Progress
    ) -> Tensor:
        (histograms,) = self.hog(views["image"], (self.cell,))
        target = patchify(histograms, reconstruction.patch_size // self.cell)
        errors = (reconstruction.prediction.float() - target).square().mean(dim=-1)
        return masked_mean(errors, reconstruction.mask.mask)


class AnatomicalConsistency(nn.Module):
    """L_cons of VasoMIM: the frozen segmentor sees the same vessels in I′ as in I.

    Args:
        metric: ``"ce"`` (binary cross-entropy, the default), ``"l1"`` or ``"dice"``
            (AAAI table S6).
    """

    def __init__(self, metric: str = "ce") -> None:
        super().__init__()
        if metric not in ("ce", "l1", "dice"):
            raise InputError(f"anatomical consistency: metric={metric!r} is not ce, l1 or dice")
        self.metric = metric

    def forward(self, logits: Tensor, probability: Tensor) -> Tensor:
        """Compare S(I′), as logits, with sigmoid(S(I)); both B×1×H×W. Only S(I′) gets gradients."""
        target = probability.detach()
        logits = logits.float()
        if self.metric == "ce":
            return F.binary_cross_entropy_with_logits(logits, target)
        if self.metric == "l1":
            return F.l1_loss(torch.sigmoid(logits), target)
        return dice_loss(logits, target)


class ImageObjective(Objective):
    """An objective that compares I′, the reconstructed image, with I, and predicts nothing.

    A subclass defines `compare`.
    """

    def width(self, patch_size: int, channels: int) -> int:
        return 0

    def compare(self, reconstructed: Tensor, images: Tensor) -> Tensor:
        """A scalar from I′ and I, both B×C×H×W, normalised as the views are."""
        raise NotImplementedError(f"{type(self).__name__} does not define compare()")

    def forward(
        self, reconstruction: Reconstruction, views: dict[str, Tensor], progress: Progress
    ) -> Tensor:
        if reconstruction.image is None:
            raise InputError(
                f"objective: {type(self).__name__} judges a reconstructed image; list it beside "
                "PixelReconstruction"
            )
        return self.compare(reconstruction.image, views["image"])


class Objectives(Objective):
    """Several objectives, added up with their weights.

    Each judges its own values of a patch: the decoder's prediction is cut into as many pieces, in
    the order of the list.

    Args:
        parts: objectives or their configs.

    Raises:
        InputError: an image objective without a `PixelReconstruction` that makes the image.
    """

    def __init__(self, parts: Sequence[nn.Module | dict[str, Any]]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(build(part) for part in parts)
        # Place of the one whose prediction is the image.
        self.pixels = next(
            (n for n, part in enumerate(self.parts) if isinstance(part, PixelReconstruction)), None
        )
        self._with_image = any(isinstance(part, ImageObjective) for part in self.parts)
        if not len(self.parts) or (self._with_image and self.pixels is None):
            names = ", ".join(type(part).__name__ for part in self.parts) or "nothing"
            raise InputError(f"objective: {names} alone; put a PixelReconstruction into the list")

    def width(self, patch_size: int, channels: int) -> int:
        return sum(self._widths(patch_size, channels))

    def _widths(self, patch_size: int, channels: int) -> list[int]:
        return [part.width(patch_size, channels) for part in self.parts]

    def attach(self, encoder: nn.Module) -> None:
        for part in self.parts:
            part.attach(encoder)

    def after_step(self, encoder: nn.Module, progress: Progress) -> None:
        for part in self.parts:
            part.after_step(encoder, progress)

    def _pieces(self, reconstruction: Reconstruction, channels: int) -> list[Reconstruction]:
        widths = self._widths(reconstruction.patch_size, channels)
        pieces = reconstruction.prediction.split(widths, dim=-1)
        return [replace(reconstruction, prediction=piece) for piece in pieces]

    def image(self, reconstruction: Reconstruction, images: Tensor) -> Tensor:
        """I′ from the pixels among the predicted values, B×C×H×W.

        Raises:
            InputError: no objective of the list predicts pixels.
        """
        if self.pixels is None:
            raise InputError("objective: none of them predicts pixels; add PixelReconstruction")
        piece = self._pieces(reconstruction, images.shape[1])[self.pixels]
        return self.parts[self.pixels].image(piece, images)

    def terms(
        self, reconstruction: Reconstruction, views: dict[str, Tensor], progress: Progress
    ) -> dict[str, Tensor]:
        """The weighted terms by name; a second one of the same name gets a number."""
        images = views["image"]
        whole = self.image(reconstruction, images) if self._with_image else None
        terms: dict[str, Tensor] = {}
        for part, piece in zip(self.parts, self._pieces(reconstruction, images.shape[1])):
            name = f"loss_{part.name}"
            twins = sum(key == name or key.startswith(f"{name}_") for key in terms)
            value = part(replace(piece, image=whole), views, progress)
            terms[f"{name}_{twins + 1}" if twins else name] = part.weight * value
        return terms

    def forward(
        self, reconstruction: Reconstruction, views: dict[str, Tensor], progress: Progress
    ) -> Tensor:
        return torch.stack(list(self.terms(reconstruction, views, progress).values())).sum()


def build_objective(spec: Any) -> nn.Module:
    """One objective from its config, or `Objectives` from a list of them."""
    return Objectives(spec) if isinstance(spec, (list, tuple)) else build(spec)


def predicted_width(objective: nn.Module, patch_size: int, channels: int) -> int:
    """Values per patch that `objective` judges; a module that does not say so judges pixels."""
    if isinstance(objective, Objective):
        return objective.width(patch_size, channels)
    return patch_size**2 * channels


def predicts_pixels(objective: nn.Module) -> bool:
    """Whether ``objective.image(reconstruction, images)`` gives an image."""
    if isinstance(objective, Objectives):
        return objective.pixels is not None
    return isinstance(objective, PixelReconstruction)


def named_terms(
    objective: nn.Module,
    reconstruction: Reconstruction,
    views: dict[str, Tensor],
    progress: Progress,
) -> dict[str, Tensor]:
    """Weighted terms for the log: those of a list by name, a single one as the reconstruction."""
    if isinstance(objective, Objectives):
        return objective.terms(reconstruction, views, progress)
    value = objective(reconstruction, views, progress)
    weight = objective.weight if isinstance(objective, Objective) else 1.0
    return {"loss_reconstruction": weight * value}

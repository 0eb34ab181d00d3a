"""Reconstruction objectives of masked image models.

An objective is called as ``objective(reconstruction, views, progress) -> Tensor`` (a scalar). Most
compare the decoder's prediction for the masked patches with a target, and tell how many values per
patch that takes. Image objectives (`benchmark.nn.objectives.perceptual`, `.feature_distillation`)
need no prediction of their own; they compare I′, the image assembled from the predicted pixels,
with I. `Objectives` is a weighted sum of several.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.nn.masking.random import Mask
from benchmark.nn.patches import patchify, standardise


@dataclass(frozen=True)
class Reconstruction:
    """The prediction of a masked image model.

    Attributes:
        prediction: B×N×V, every patch; for pixels V = P·P·C, in the space of the pixel objective.
        mask: which patches are masked.
        patch_size: P.
        grid_size: rows and columns of patches.
        image: I′, B×C×H×W, if an image objective needs it.
    """

    prediction: Tensor
    mask: Mask
    patch_size: int
    grid_size: tuple[int, int]
    image: Tensor | None = None
    _standardised: dict[int, tuple[Tensor, ...]] = field(default_factory=dict, repr=False)

    def standardised(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`standardise` of the patches of `images`, cached."""
        key = id(images)
        if key not in self._standardised:
            patches = standardise(patchify(images, self.patch_size))
            # Keep the images alive, so that their id stays unique.
            self._standardised[key] = (images, *patches)
        return self._standardised[key][1:]


class Objective(nn.Module):
    """One term of the loss of a masked image model.

    Args:
        weight: weight of the term in the total loss; a call returns the unweighted term.
    """

    # The term is logged as ``loss_<name>``.
    name = "reconstruction"

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def width(self, patch_size: int, channels: int) -> int:
        """Values the decoder has to predict for each patch."""
        return patch_size**2 * channels

    def attach(self, encoder: nn.Module, views: nn.Module) -> None:
        """Called once before training, with the encoder that is trained and the view maker."""

    def after_step(self, encoder: nn.Module, progress: Progress) -> None:
        """Update what the optimiser does not, such as a moving average."""

    def forward(
        self, reconstruction: Reconstruction, views: dict[str, Tensor], progress: Progress
    ) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} does not define forward()")


def masked_mean(errors: Tensor, mask: Tensor) -> Tensor:
    """Mean error over the masked patches of a batch; both arguments are B×N."""
    return (errors * mask).sum() / mask.sum()


class ImageObjective(Objective):
    """An objective that compares the image I′ with I, and needs no predicted values of its own."""

    def width(self, patch_size: int, channels: int) -> int:
        return 0

    def compare(self, reconstructed: Tensor, images: Tensor) -> Tensor:
        """A scalar from I′ and I, both B×C×H×W, normalised like the views."""
        raise NotImplementedError(f"{type(self).__name__} does not define compare()")

    def forward(
        self, reconstruction: Reconstruction, views: dict[str, Tensor], progress: Progress
    ) -> Tensor:
        if reconstruction.image is None:
            raise InputError(
                f"objective: {type(self).__name__} compares a reconstructed image; list it "
                "together with PixelReconstruction"
            )
        return self.compare(reconstruction.image, views["image"])

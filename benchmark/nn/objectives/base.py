"""What a reconstruction is compared with.

An objective is called as ``objective(reconstruction, views, progress) -> Tensor`` (a scalar). Most
judge what the decoder predicts for the masked patches, and say how many values per patch that is.
Image objectives (`benchmark.nn.objectives.perceptual`, `.feature_distillation`) predict nothing
and judge I′, the image put together from the predicted pixels. `Objectives` adds several up.
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

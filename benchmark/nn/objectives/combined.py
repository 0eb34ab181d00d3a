"""Weighted sums of objectives, and the number of values a decoder predicts for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.nn.objectives.base import ImageObjective, Objective, Reconstruction
from benchmark.nn.objectives.pixels import PixelReconstruction
from benchmark.registry import OBJECTIVES, build


@OBJECTIVES.register_module()
class Objectives(Objective):
    """A weighted sum of objectives.

    Each objective has its own values per patch: the decoder's prediction is split in the order of
    the list.

    Args:
        parts: objectives or their configs.

    Raises:
        InputError: an empty list, or an image objective without a `PixelReconstruction`.
    """

    def __init__(self, parts: Sequence[nn.Module | dict[str, Any]]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(build(part) for part in parts)
        # Index of the objective that predicts pixels.
        self.pixels = next(
            (n for n, part in enumerate(self.parts) if isinstance(part, PixelReconstruction)), None
        )
        self._with_image = any(isinstance(part, ImageObjective) for part in self.parts)
        if not len(self.parts) or (self._with_image and self.pixels is None):
            names = ", ".join(type(part).__name__ for part in self.parts) or "nothing"
            raise InputError(f"objective: {names} alone; add a PixelReconstruction to the list")

    def width(self, patch_size: int, channels: int) -> int:
        return sum(part.width(patch_size, channels) for part in self.parts)

    def attach(self, encoder: nn.Module, views: nn.Module) -> None:
        for part in self.parts:
            part.attach(encoder, views)

    def after_step(self, encoder: nn.Module, progress: Progress) -> None:
        for part in self.parts:
            part.after_step(encoder, progress)

    def _pieces(self, reconstruction: Reconstruction, channels: int) -> list[Reconstruction]:
        widths = [part.width(reconstruction.patch_size, channels) for part in self.parts]
        pieces = reconstruction.prediction.split(widths, dim=-1)
        return [replace(reconstruction, prediction=piece) for piece in pieces]

    def image(self, reconstruction: Reconstruction, images: Tensor) -> Tensor:
        """I′ from the predicted pixels, B×C×H×W.

        Raises:
            InputError: no objective of the list predicts pixels.
        """
        if self.pixels is None:
            raise InputError("objective: none in the list predicts pixels; add PixelReconstruction")
        piece = self._pieces(reconstruction, images.shape[1])[self.pixels]
        return self.parts[self.pixels].image(piece, images)

    def terms(
        self, reconstruction: Reconstruction, views: dict[str, Tensor], progress: Progress
    ) -> dict[str, Tensor]:
        """The weighted terms by name; further ones of the same name get a number."""
        images = views["image"]
        reconstructed = self.image(reconstruction, images) if self._with_image else None
        terms: dict[str, Tensor] = {}
        for part, piece in zip(self.parts, self._pieces(reconstruction, images.shape[1])):
            name = f"loss_{part.name}"
            same = sum(key == name or key.startswith(f"{name}_") for key in terms)
            value = part(replace(piece, image=reconstructed), views, progress)
            terms[f"{name}_{same + 1}" if same else name] = part.weight * value
        return terms

    def forward(
        self, reconstruction: Reconstruction, views: dict[str, Tensor], progress: Progress
    ) -> Tensor:
        return torch.stack(list(self.terms(reconstruction, views, progress).values())).sum()


def build_objective(spec: Any) -> nn.Module:
    """An objective from its config, or `Objectives` from a list of configs."""
    return Objectives(spec) if isinstance(spec, (list, tuple)) else build(spec)


def predicts_pixels(objective: nn.Module) -> bool:
    """Whether ``objective.image(reconstruction, images)`` is available."""
    if isinstance(objective, Objectives):
        return objective.pixels is not None
    return isinstance(objective, PixelReconstruction)


def named_terms(
    objective: nn.Module,
    reconstruction: Reconstruction,
    views: dict[str, Tensor],
    progress: Progress,
) -> dict[str, Tensor]:
    """Weighted loss terms by name; a single objective is called the reconstruction."""
    if isinstance(objective, Objectives):
        return objective.terms(reconstruction, views, progress)
    value = objective(reconstruction, views, progress)
    weight = objective.weight if isinstance(objective, Objective) else 1.0
    return {"loss_reconstruction": weight * value}

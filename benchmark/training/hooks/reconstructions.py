"""What a method sees, masks and reconstructs, as images; and as a panel of the visualizer."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from torch import Tensor

from benchmark.method import Method
from benchmark.nn.masking.anatomy import AnatomyGuidedMasking, patch_weights
from benchmark.nn.objectives.combined import predicts_pixels
from benchmark.registry import HOOKS
from benchmark.training.accumulation import unwrap
from benchmark.training.hooks.evaluating import evaluating


def spread(total: int, count: int) -> list[int]:
    """`count` evenly spaced indices below `total`."""
    return np.linspace(0, total - 1, min(count, total)).round().astype(int).tolist()


@torch.no_grad()
def view_panels(method: Method, views: dict[str, Tensor]) -> dict[str, Tensor]:
    """Panels of a pre-training method by title, each B×H×W in [0, 255].

    The view, and where the method has them: the vessels, the segmentor's or the probability map,
    the guidance, the masked patches, and the reconstruction.

    Args:
        method: in evaluation mode, its `progress` set.
        views: of the method's `views`.
    """
    panels: dict[str, Tensor] = {"view": _denormalise(method, views["image"])}
    if "anatomy" in views:
        panels["vessels B"] = 255 * views["anatomy"][:, 0]
    if hasattr(method, "network"):
        panels["segmentor"] = 255 * method.network(views["image"]).sigmoid()[:, 0]
        return panels
    if hasattr(method, "with_guidance"):
        views = method.with_guidance(views)
    if "probability" in views:
        panels["probability M"] = 255 * views["probability"][:, 0]
    if isinstance(getattr(method, "masking", None), AnatomyGuidedMasking):
        panels["guidance f(G)"] = _per_patch(method, method.masking.guidance(views))
    if hasattr(method, "reconstruct"):
        mask = method.masking(views, method.progress)
        reconstruction = method.reconstruct(views["image"], mask)
        side = method.encoder.patch_size
        hidden = mask.mask.unflatten(1, method.encoder.grid_size)
        hidden = hidden.repeat_interleave(side, 1).repeat_interleave(side, 2)
        panels["masked patches"] = panels["view"] * (1 - hidden) + 128 * hidden
        if predicts_pixels(method.objective):
            image = method.objective.image(reconstruction, views["image"])
            panels["reconstruction"] = _denormalise(method, image)
    return panels


def _denormalise(method: Method, images: Tensor) -> Tensor:
    """Intensities of normalised views: B×3×H×W to B×H×W in [0, 255]."""
    return (images * method.views.std + method.views.mean).mean(dim=1).clamp(0, 255)


def _per_patch(method: Method, guidance: Tensor) -> Tensor:
    """Guidance per patch, scaled to a maximum of 255 per frame."""
    side = method.encoder.patch_size
    weights = patch_weights(guidance, side).unflatten(1, method.encoder.grid_size)[:, None]
    weights = weights / weights.amax(dim=(2, 3), keepdim=True).clamp_min(1e-12)
    return 255 * F.interpolate(weights, scale_factor=side, mode="nearest")[:, 0]


@HOOKS.register_module()
class ReconstructionHook(Hook):
    """A panel of reconstructions for the visualizer every `interval` epochs and at the end.

    Always the same frames, evenly spaced in the packs; a row each: view, vessels, probability map,
    guidance, masked patches, reconstruction, as far as the method has them. Drawn in evaluation
    mode by the main process, with the masks of the epoch; neither weights nor random numbers of the
    run change.

    Args:
        interval: epochs between two panels; 0: none.
        count: frames of a panel.
    """

    priority = "VERY_LOW"

    def __init__(self, interval: int = 0, count: int = 4) -> None:
        self.interval = interval
        self.count = count

    def before_train(self, runner: Any) -> None:
        if self.interval and not self._applies(runner):
            runner.run.say(
                f"{runner.run.title}: no panels of reconstructions: nothing is reconstructed"
            )

    def _applies(self, runner: Any) -> bool:
        method = unwrap(runner.model)
        return isinstance(method, Method) and hasattr(method, "reconstruct")

    def after_train_epoch(self, runner: Any) -> None:
        epoch = runner.epoch + 1
        due = self.interval and (epoch % self.interval == 0 or epoch == runner.max_epochs)
        if not due or get_rank() or not self._applies(runner):
            return
        dataset = runner.train_dataloader.dataset
        batch = dataset.__getitems__(spread(len(dataset), self.count))
        panel = draw_panel(unwrap(runner.model), batch)
        runner.visualizer.add_image("reconstructions", panel, step=runner.iter)


def draw_panel(method: Method, batch: Any) -> np.ndarray:
    """The panels of a batch side by side, a row per frame: (B·H)×(n·W)×3 in [0, 255]."""
    with evaluating(method):
        panels = view_panels(method, method.views(batch)["views"])
    method.observed.clear()
    gray = torch.cat([panel.clamp(0, 255).byte().cpu() for panel in panels.values()], dim=2)
    return gray.flatten(0, 1)[..., None].expand(-1, -1, 3).contiguous().numpy()

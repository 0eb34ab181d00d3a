"""How often each patch of a frame is masked over the epochs of a recipe, as heat-maps
(VasoMIM, journal figures 2 and 5; AAAI figure 4)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.data.packs import PackCollection, open_packs
from benchmark.data.packs.loader import PackDataset
from benchmark.data.views.crop import Crop
from benchmark.errors import InputError, did_you_mean
from benchmark.visualization.contact_sheets import extraction_alpha, legend, overlay, spread
from benchmark.visualization.figure_files import save_figure
from benchmark.visualization.masking_recipes import Batch, Recipe, complete, open_recipe

matplotlib.use("Agg")
from matplotlib import pyplot as plt

_POINTS = 8
"""Points per side of a patch at which crops are looked up."""


@dataclass(frozen=True)
class MaskingRatio:
    """Counts over epochs: per patch for complete frames, per point of a fine grid for crops.

    Attributes:
        masked: how often each patch or point was masked, B×R×C.
        seen: how often it was in the view, B×R×C.
        masked_patches: masked patches of the views, B.
        masked_vessels: masked patches with a vessel pixel, B.
        patches: patches of all views of a frame.
        vessels: all patches with a vessel pixel, B.
    """

    masked: np.ndarray
    seen: np.ndarray
    masked_patches: np.ndarray
    masked_vessels: np.ndarray
    patches: int
    vessels: np.ndarray

    @property
    def vessel_share(self) -> np.ndarray:
        """Fraction of vessel patches among the masked patches of all epochs, B, as in the log."""
        return self.masked_vessels / self.masked_patches

    @property
    def chance(self) -> np.ndarray:
        """Fraction of vessel patches among all patches of the same views, B: the share that random
        masking is expected to have."""
        return self.vessels / self.patches

    def ratio(self, grid: tuple[int, int]) -> np.ndarray:
        """Fraction of the epochs in which a patch was masked, of those in which it was in the view.

        Args:
            grid: rows and columns of the patches of a frame.

        Returns:
            B×rows×columns in [0, 1]; NaN for a patch that was in no view.
        """
        masked, seen = (_sum_blocks(counts, grid) for counts in (self.masked, self.seen))
        return np.divide(masked, seen, out=np.full(masked.shape, np.nan), where=seen > 0)


def _sum_blocks(counts: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    rows, columns = grid
    shape = (len(counts), rows, counts.shape[1] // rows, columns, counts.shape[2] // columns)
    return counts.reshape(shape).sum(axis=(2, 4))


def masking_ratio(
    recipe: Recipe, batch: Batch, epochs: Sequence[int], crops: bool = False
) -> MaskingRatio:
    """Draw the masks of a batch in some epochs, and count.

    Args:
        recipe: recipe that draws the masks.
        batch: frames with their anatomy, as the loader yields them.
        epochs: counted from 0.
        crops: the masks of the random crops of training, mapped back to the frame; otherwise masks
            of the complete frame.
    """
    rows, columns = recipe.grid
    fine = _POINTS if crops else 1
    count = len(batch["index"])
    masked = np.zeros((count, rows * fine, columns * fine), dtype=np.int64)
    seen = np.zeros_like(masked)
    masked_patches, masked_vessels, vessels = np.zeros((3, count), dtype=np.int64)
    for views, crop, mask in recipe.draw(batch, epochs, crops):
        is_masked = mask.bool().cpu()
        is_vessel = F.max_pool2d(views["anatomy"], recipe.patch_size).flatten(1).bool().cpu()
        masked_patches += is_masked.sum(dim=1).numpy()
        masked_vessels += (is_masked & is_vessel).sum(dim=1).numpy()
        vessels += is_vessel.sum(dim=1).numpy()
        cells = is_masked.unflatten(1, recipe.grid)
        if not crops:
            masked += cells.numpy()
            seen += 1
            continue
        crop = Crop(*(values.cpu() for values in crop))
        inside, cells = _on_frame(cells, crop, batch["valid"], fine)
        masked += (cells & inside).numpy()
        seen += inside.numpy()
    patches = rows * columns * len(epochs)
    return MaskingRatio(masked, seen, masked_patches, masked_vessels, patches, vessels)


def _on_frame(cells: Tensor, crop: Crop, valid: Tensor, fine: int) -> tuple[Tensor, Tensor]:
    """Look up, at points of the frame, what holds in the patches of a crop.

    Args:
        cells: B×R×C bool, of the patches of the view.
        crop: the box of the view in pixels of the frame.
        valid: B×2, height and width of the frame.
        fine: points per patch and side; the points are centres of equal cells.

    Returns:
        Whether the points are in the crop, and what holds there, each B×(R·fine)×(C·fine).
    """
    found = []
    boxes = ((crop.top, crop.height), (crop.left, crop.width))
    for axis, (start, length) in enumerate(boxes):
        count = cells.shape[1 + axis]
        points = (torch.arange(count * fine) + 0.5) / (count * fine)
        position = points * valid[:, axis : axis + 1] - start[:, None]
        position = position * count / length[:, None]
        inside = (position >= 0) & (position < count)
        if axis == 1:
            position = torch.where(crop.flip[:, None], count - position, position)
        found.append((inside, position.long().clamp(0, count - 1)))
    (in_rows, row), (in_columns, column) = found
    batch = torch.arange(len(cells))[:, None, None]
    values = cells[batch, row[:, :, None], column[:, None, :]]
    return in_rows[:, :, None] & in_columns[:, None, :], values


def choose_frames(packs: PackCollection, names: Sequence[str], count: int) -> list[int]:
    """Rows of the frames that are shown.

    Args:
        names: rows of the index, or paths in it; empty for `count` evenly spaced frames.

    Raises:
        InputError: there is no such frame.
    """
    if not names:
        return spread(len(packs), count)
    rows = {path: row for row, path in enumerate(packs.index["path"])}
    found = []
    for name in names:
        row = int(name) if name.isdecimal() else rows.get(name)
        if row is None or row >= len(packs):
            hint = did_you_mean(name, list(rows)) if row is None else ""
            raise InputError(
                f"--frames {name}: no such frame; give a row of the index, 0 to {len(packs) - 1}, "
                f"or a path in it{hint}"
            )
        found.append(row)
    return found


def draw_masking_ratio(
    paths: Sequence[str | Path],
    out: str | Path,
    packs: Sequence[str | Path],
    frames: Sequence[str] = (),
    count: int = 4,
    epochs: int | None = None,
    crops: bool = False,
    work: str | Path = "work_dirs",
    scale: str = "paper",
    options: Collection[str] = (),
) -> str:
    """Draw the masking ratio of every patch of some frames, one column per recipe.

    Beside the maps are the frame, its extracted vessels B and, where a recipe has a segmentor, its
    probability map M; under each map the share of vessel patches among the masked ones, and among
    all patches of the same views.

    Args:
        paths: configs or run folders; see `open_recipe`, also for `work`, `scale` and `options`.
        out: PNG, SVG or PDF file to write.
        packs: with anatomy, as trained on: the number of a frame in them keys its masks.
        frames, count: see `choose_frames`.
        epochs: number of epochs that are drawn, evenly spaced; None: all of each recipe.
        crops: see `masking_ratio`.

    Returns:
        One line of summary.

    Raises:
        InputError: as `open_recipe` and `choose_frames`; packs without anatomy.
    """
    opened = open_packs(packs)
    chosen = choose_frames(opened, frames, count)
    batch = PackDataset(opened, anatomy=True).__getitems__(chosen)
    recipes = [open_recipe(Path(path), Path(work), scale, options) for path in paths]
    columns = []
    for recipe in recipes:
        drawn = spread(recipe.epochs, epochs or recipe.epochs)
        counts = masking_ratio(recipe, batch, drawn, crops)
        columns.append((_title(recipe, len(drawn)), counts, counts.ratio(recipe.grid)))
    figure = _figure(_panels(recipes, batch), columns, crops, extraction_alpha(packs))
    save_figure(figure, out, dpi=150)
    plt.close(figure)
    return f"{out}: masking ratio, frames: {len(chosen)}, recipes: {len(recipes)}"


def _title(recipe: Recipe, drawn: int) -> str:
    of = "" if drawn == recipe.epochs else f"{drawn} of "
    gamma = "" if recipe.gamma is None else f", γ = {recipe.gamma:g}"
    title = f"{recipe.title}{gamma}\n{of}{recipe.epochs} epochs, seed {recipe.seed}"
    if recipe.trained is not None:
        title += f"\nweights of epoch {recipe.trained}"
    return title


# Title → image per frame, H×W in [0, 255] or RGB.
_Panels = dict[str, list[np.ndarray]]


@torch.no_grad()
def _panels(recipes: Sequence[Recipe], batch: Batch) -> _Panels:
    """The complete frames, B and M, at the size of the first recipe's views."""
    first = recipes[0]
    views = _complete_views(first, batch)
    images = first.views.intensities(views["image"])[:, 0].cpu().numpy()
    vessels = views["anatomy"][:, 0].cpu().numpy() > 0
    panels: _Panels = {
        "frame": list(images),
        "vessels B": [overlay(image, vessel) for image, vessel in zip(images, vessels)],
    }
    guided = next((recipe for recipe in recipes if recipe.segmentor is not None), None)
    if guided is not None:
        own = _complete_views(guided, batch)["image"]
        maps = guided.segmentor.probability(own)[:, 0].cpu().numpy()
        panels["probability M"] = [255 * one for one in maps]
    return panels


def _complete_views(recipe: Recipe, batch: Batch) -> dict[str, Tensor]:
    batch = recipe.views.cast_data(batch)
    return recipe.views.crop_views(batch, complete(batch))


def _figure(
    panels: _Panels,
    columns: Sequence[tuple[str, MaskingRatio, np.ndarray]],
    crops: bool,
    alpha: float | None,
) -> plt.Figure:
    rows = len(next(iter(panels.values())))
    width = len(panels) + len(columns)
    # A dollar sign in a title must not start a formula.
    with plt.rc_context({"text.parse_math": False, "font.size": 8}):
        figure, axes = plt.subplots(
            rows,
            width,
            figsize=(1.7 * width + 0.7, 2.1 * rows + 0.7),
            squeeze=False,
            layout="constrained",
        )
        for axis in axes.flat:
            axis.set(xticks=[], yticks=[])
        for axis, title in zip(axes[0], [*panels, *(title for title, *_ in columns)]):
            axis.set_title(title, fontsize=8)
        for place, panel in enumerate(panels.values()):
            for axis, image in zip(axes[:, place], panel):
                axis.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        for place, (_, counts, ratio) in enumerate(columns, start=len(panels)):
            shares = zip(100 * counts.vessel_share, 100 * counts.chance)
            for axis, one, (share, chance) in zip(axes[:, place], ratio, shares):
                drawn = axis.imshow(one, cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
                axis.set_xlabel(f"vessel patches {share:.1f} %\nby chance {chance:.1f} %")
        bar = figure.colorbar(drawn, ax=axes[:, -1], shrink=0.8)
        what = "crops of a patch\nin which it" if crops else "epochs\nin which a patch"
        bar.set_label(f"fraction of the {what} is masked")
        views = "training's random crops, mapped back to the frame" if crops else "complete frames"
        of = "these crops" if crops else "the frame"
        below = (
            f"Masks of {views}. Below the maps: vessel patches among the masked ones;\n"
            f"by chance: vessel patches among all of {of}, as expected of random masking."
        )
        figure.supxlabel(f"{below}\n{legend(panels, alpha)}", fontsize=6)
    return figure

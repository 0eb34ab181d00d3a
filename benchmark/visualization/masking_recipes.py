"""The masks a pre-training recipe draws, epoch by epoch, from its config or its run."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.anatomy.segmentor import FrozenSegmentor
from benchmark.data.views.crop import Crop
from benchmark.data.views.single import SingleView
from benchmark.device import device
from benchmark.errors import InputError
from benchmark.files import read_object
from benchmark.method import Method, Progress
from benchmark.nn.masking.anatomy import AnatomyGuidedMasking
from benchmark.nn.masking.attention import AttentionGuidedMasking
from benchmark.nn.masking.blocks import BlockMasking, UnitMasking
from benchmark.nn.masking.loss import LossGuidedMasking
from benchmark.nn.masking.random import RandomMasking
from benchmark.registry import build
from benchmark.training.config import fill_paths, from_plain, load_config
from benchmark.training.config_keys import PRETRAIN_NEEDS
from benchmark.visualization.contact_sheets import load_run
from benchmark.visualization.masking_inputs import refuse_config

Views = dict[str, Tensor]
Batch = dict[str, Tensor]

_WITHOUT_WEIGHTS = (RandomMasking, UnitMasking, BlockMasking, AnatomyGuidedMasking)
_OF_THE_METHOD = (AttentionGuidedMasking, LossGuidedMasking)


@dataclass
class Recipe:
    """What decides the masks of a pre-training.

    Attributes:
        title: title of the method.
        views: maker of the view that is masked.
        masking: called as ``masking(views, progress)``.
        grid: rows and columns of the patches.
        seed, epochs: seed and epochs of the run; both key the masks.
        guide: adds to the views of a batch, cropped by `Crop`, what guides the masks.
        trained: epochs after which the weights that guide the masks were saved; None where the
            masks depend on no weights of the method.
        gamma: masking ratio γ; None where the masking has none.
        segmentor: S of VasoMIM, for the probability map; None without.
    """

    title: str
    views: SingleView
    masking: nn.Module
    grid: tuple[int, int]
    seed: int
    epochs: int
    guide: Callable[[Views, Batch, Crop], Views] = field(default=lambda views, batch, crop: views)
    trained: int | None = None
    gamma: float | None = None
    segmentor: FrozenSegmentor | None = None

    @property
    def patch_size(self) -> int:
        """Side of a patch in pixels of the view."""
        return self.views.size // self.grid[0]

    @torch.no_grad()
    def draw(
        self, batch: Batch, epochs: Sequence[int], crops: bool = False
    ) -> Iterator[tuple[Views, Crop, Tensor]]:
        """The masks of a batch of frames in some epochs, as training draws them.

        Args:
            batch: as the loader yields it, see `benchmark.data.views.single`.
            epochs: counted from 0.
            crops: mask the random crops of training. Otherwise the complete frame takes the place
                of the crop, with the same random numbers for the mask.

        Yields:
            Views, their boxes, and the mask, B×N float, 1 = masked, of each epoch.
        """
        batch = self.views.cast_data(batch)
        views, crop = None, complete(batch)
        for epoch in epochs:
            progress = Progress(seed=self.seed, epoch=epoch, epochs=self.epochs)
            self.views.progress = progress
            if crops:
                crop = self.views.draw(batch)
            if crops or views is None:
                views = self.guide(self.views.crop_views(batch, crop), batch, crop)
            yield views, crop, self.masking(views, progress).mask


def complete(batch: Batch) -> Crop:
    """The box of the complete frame, not mirrored."""
    height, width = batch["valid"].unbind(dim=1)
    zero = torch.zeros_like(height)
    return Crop(zero, zero, height, width, torch.zeros_like(height, dtype=torch.bool))


def open_recipe(
    path: Path, work: Path, scale: str = "paper", options: Collection[str] = ()
) -> Recipe:
    """The recipe of a config file, or of the folder of a pre-training run.

    Args:
        path: config or folder.
        work: folder of all runs, ``{work}`` in a config.
        scale, options: of a config, as in `load_config`; a run has its own.

    Raises:
        InputError: the masks depend on weights that a config does not have, or on something else
            than a single view; the run has no checkpoint, or its segmentor is missing.
    """
    if path.is_dir():
        config = from_plain(read_object(path / "run.json").get("config"))
    else:
        config = load_config(path, scale, list(options), needed=PRETRAIN_NEEDS)
        config = fill_paths(config, work)
    method = config.get("method") if isinstance(config, dict) else None
    masking = method.get("masking") if isinstance(method, dict) else None
    if masking is None or not (
        issubclass(masking["type"], _WITHOUT_WEIGHTS + _OF_THE_METHOD)
        and issubclass(method["views"]["type"], SingleView)
    ):
        raise InputError(
            f"{path}: does not mask patches of a single view; choose a recipe such as MAE, AMT, "
            "HPM or VasoMIM"
        )
    segmentor = method.get("segmentor")
    joint = segmentor is not None and segmentor["type"] is not FrozenSegmentor
    changed = joint or method.get("official_code", False)  # not the segmentor of its file
    guided = issubclass(masking["type"], AnatomyGuidedMasking) and masking.get("eta", 0.5) < 1
    if issubclass(masking["type"], _OF_THE_METHOD) or (changed and guided):
        return _trained(path)
    return _untrained(config, None if joint else segmentor, guided)


def _gamma(masking: dict[str, Any]) -> float | None:
    """The ratio of a masking's settings, or the default of its class; None if it takes none."""
    ratio = inspect.signature(masking["type"]).parameters.get("ratio")
    return None if ratio is None else masking.get("ratio", ratio.default)


def _untrained(config: dict[str, Any], segmentor: dict[str, Any] | None, guided: bool) -> Recipe:
    """A recipe whose masks depend on the frames and, if `guided`, on a frozen segmentor."""
    method = config["method"]
    with torch.device("meta"):  # for its numbers; the weights do not matter
        encoder = build(method["encoder"])
    masking = build(
        method["masking"], num_patches=encoder.num_patches, patch_size=encoder.patch_size
    )
    recipe = Recipe(
        title=config["card"]["title"],
        views=build(method["views"]).to(device()),
        masking=masking,
        grid=encoder.grid_size,
        seed=config["seed"],
        epochs=config["epochs"],
        gamma=_gamma(config["method"]["masking"]),
    )
    if segmentor is not None and (guided or _is_there(segmentor)):
        recipe.segmentor = build(segmentor).to(device())
    if guided:
        if recipe.segmentor is None:
            raise InputError(
                f"{recipe.title}: masking.eta < 1 guides by a segmentor, and the method has none; "
                "set method.segmentor, or method.masking.eta=1"
            )
        recipe.guide = functools.partial(_with_probability, recipe.segmentor)
    return recipe


def _is_there(segmentor: dict[str, Any]) -> bool:
    checkpoint = segmentor.get("checkpoint")
    return checkpoint is not None and Path(checkpoint).is_file()


def _trained(path: Path) -> Recipe:
    """A recipe whose masks depend on the weights of the method, as they are at the end of a run."""
    if not path.is_dir():
        refuse_config(path)
    method, config, trained = load_run(path)
    method.to(device())
    recipe = Recipe(
        title=config["card"]["title"],
        views=method.views,
        masking=method.masking,
        grid=method.encoder.grid_size,
        seed=config["seed"],
        epochs=config["epochs"],
        gamma=_gamma(config["method"]["masking"]),
        guide=lambda views, batch, crop: method.with_guidance(views),
        trained=trained,
    )
    if isinstance(method.masking, AttentionGuidedMasking):
        recipe.guide = _AttentionGuide(method)
    return recipe


def _with_probability(segmentor: FrozenSegmentor, views: Views, batch: Batch, crop: Crop) -> Views:
    return {**views, "probability": segmentor.probability(views["image"])}


class _AttentionGuide:
    """Adds AMT's attention maps, those of the complete frames, cropped like the views."""

    def __init__(self, method: Method) -> None:
        self._method = method
        self._maps: Tensor | None = None
        self._store(torch.empty(0, 1, 1))  # the maps of the frames it was trained on

    def _store(self, maps: Tensor) -> None:
        self._method.views.attention = maps

    def __call__(self, views: Views, batch: Batch, crop: Crop) -> Views:
        maker = self._method.views
        if self._maps is None:
            self._maps = self._method.attention_maps(maker.full_frames(batch))
        self._store(self._maps)
        rows = {**batch, "index": torch.arange(len(self._maps), device=self._maps.device)}
        attention = maker.crop_views(rows, crop)["attention"]
        self._store(torch.empty(0, 1, 1))
        return {**views, "attention": attention}

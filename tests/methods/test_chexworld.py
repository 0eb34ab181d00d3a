"""CheXWorld against its formulas in double precision, and its official checkpoint."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from finite_differences import assert_slopes
from numpy_distillation import gradient_step
from numpy_vit import double_weights, linear
from official_shapes import load_official
from test_ijepa import VIT, encode, normalised, official_shapes, predict
from torch import Tensor

from benchmark.data.views.world import WorldViews
from benchmark.method import Progress
from benchmark.method_cards import CONFIGS
from benchmark.nn.decoders.feature_predictors import WorldPredictor
from benchmark.nn.ema import CosineMomentum
from benchmark.nn.masking.jepa import MergedBlockMasking
from benchmark.nn.vit import VisionTransformer
from benchmark.registry import build
from benchmark.training.config import load_config
from methods.chexworld import CheXWorld
from methods.ijepa import OFFICIAL_NAMES


def make(official_code: bool = False, **arguments) -> CheXWorld:
    settings = dict(
        views=dict(type=WorldViews, size=48),
        encoder=dict(type=VisionTransformer, **VIT),
        predictor=dict(type=WorldPredictor, width=16, depth=2, official_code=official_code),
        masking=dict(type=MergedBlockMasking, min_keep=3, context_scale=(0.75, 1.0)),
        momentum=dict(type=CosineMomentum, start=0.6, end=1.0, stretch=1.25),
    )
    return CheXWorld(**{**settings, **arguments})


@pytest.fixture
def chexworld(randomise) -> CheXWorld:
    method = make()
    for seed, part in enumerate((method.encoder, method.predictor, method.target_encoder)):
        randomise(part, seed)
    with torch.no_grad():  # or hardly anything of what it is told would arrive
        for parameter in method.predictor.policy_net.parameters():
            parameter.mul_(5)
    return method.double()


@pytest.fixture
def views() -> dict[str, Tensor]:
    """Mirrored against each other in the second sample."""
    rng = np.random.default_rng(6)
    images = {
        f"{name}_{k}": torch.from_numpy(rng.normal(0, 1, (3, 3, 48, 48)))
        for name in ("image", "changed")
        for k in (0, 1)
    }
    change = {f"change_{k}": torch.from_numpy(rng.uniform(0.1, 1.9, (3, 5))) for k in (0, 1)}
    places = rng.uniform(-1, 1, (2, 3, 4))
    places[:, :, 2] = [0, 1, 0]
    places[:, :, 3] = rng.uniform(0, 2, 3)
    names = dict(zip(("place_01", "place_10"), torch.from_numpy(places)))
    return {**images, **change, **names, "index": torch.tensor([4, 70_000, 9])}


def position(row: float, column: float, rows_first: bool) -> list[float]:
    """Sine-cosine code of a place, 16 wide."""
    code: list[float] = []
    for value in (row, column) if rows_first else (column, row):
        angles = [value / 10000 ** (k / 4) for k in range(4)]
        code += [np.sin(a) for a in angles] + [np.cos(a) for a in angles]
    return code


class PaperCheXWorld:
    """The two losses written out view by view, image by image and query by query."""

    def __init__(self, method: CheXWorld) -> None:
        self.context = double_weights(method.encoder)
        self.target = double_weights(method.target_encoder.module)
        self.predictor = double_weights(method.predictor)
        self.rows_first = method.predictor.rows_first

    def error(self, views: dict, masks: list, sample: int, own: int, other: int) -> float:
        """Mean squared error of view `other`'s hidden patches, from the context in `own`."""
        context, hidden = masks[own][0][sample], masks[other][1][sample]
        latent = encode(views[f"changed_{own}"][sample], self.context, context)
        clean = normalised(encode(views[f"image_{other}"][sample], self.target))
        down, right, mirrored, across = (
            (0, 0, 0, 0) if own == other else views[f"place_{own}{other}"][sample]
        )
        queries = []
        for patch in hidden:
            row, column = divmod(patch, 6)
            seen = 6 * across - 1 - column if mirrored else column + 6 * right
            code = position(row + 6 * down, seen, self.rows_first)
            query = self.predictor["mask_token"][0, 0] + np.array(code)
            x = np.concatenate([query, views[f"change_{own}"][sample]])
            for number in (0, 2):
                x = np.maximum(linear(x, self.predictor, f"policy_net.{number}"), 0)
            queries.append(linear(x, self.predictor, "policy_net.4"))
        table = self.predictor["predictor_pos_embed"][0]
        found = predict(latent, self.predictor, table[context], np.array(queries))
        return float(((found - clean[hidden]) ** 2).mean())

    def losses(self, views: dict, masks: list) -> tuple[float, float]:
        """L_intra / 2 and L_extra / 2."""

        def mean(pairs: list[tuple[int, int]]) -> float:
            return float(
                np.mean([self.error(views, masks, s, *p) for p in pairs for s in range(3)])
            )

        return mean([(0, 0), (1, 1)]) / 2, mean([(0, 1), (1, 0)]) / 2


def plain(method: CheXWorld, views: dict[str, Tensor], progress: Progress) -> tuple[dict, list]:
    """Views and masks as the reference takes them."""
    masks = [method.masking(views, progress, view) for view in range(2)]
    lists = [(mask.context.tolist(), mask.targets[:, 0].tolist()) for mask in masks]
    return {name: value.numpy() for name, value in views.items()}, lists


@pytest.mark.parametrize("official", [False, True])
def test_losses_and_gradients_match_the_paper(
    chexworld: CheXWorld, views: dict[str, Tensor], official: bool
) -> None:
    predictor = make(official).predictor.double()
    predictor.load_state_dict(chexworld.predictor.state_dict())
    chexworld.predictor = predictor
    paper, progress = PaperCheXWorld(chexworld), Progress(step=3)
    arrays, masks = plain(chexworld, views, progress)
    terms = chexworld.loss(views, progress)
    expected = paper.losses(arrays, masks)
    assert terms["loss_intra"].item() == pytest.approx(expected[0], rel=1e-9)
    assert terms["loss_extra"].item() == pytest.approx(expected[1], rel=1e-9)

    (terms["loss_intra"] + terms["loss_extra"]).backward()
    places = [
        (chexworld.encoder, paper.context, "patch_embed.proj.weight", (3, 1, 2, 2)),
        (chexworld.predictor, paper.predictor, "policy_net.0.weight", (2, 17)),
        (chexworld.predictor, paper.predictor, "policy_net.4.weight", (7, 3)),
        (chexworld.predictor, paper.predictor, "mask_token", (0, 0, 3)),
        (chexworld.predictor, paper.predictor, "predictor_proj.weight", (4, 2)),
    ]
    assert_slopes(lambda: sum(paper.losses(arrays, masks)), places, rel=1e-5, abs=1e-10)
    assert all(p.grad is None for p in chexworld.target_encoder.parameters())


def test_second_step_predicts_the_ema_targets(
    chexworld: CheXWorld, views: dict[str, Tensor]
) -> None:
    now = Progress(epoch=1, epochs=2, step=3, steps_per_epoch=2)
    before = double_weights(chexworld.target_encoder.module, copy=True)
    gradient_step(chexworld, sum(chexworld.loss(views, now).values()), 0.5)
    chexworld.after_step(now)

    m = 1 - 0.4 * (1 + np.cos(np.pi * 3 / 5)) / 2
    paper = PaperCheXWorld(chexworld)
    paper.target = {name: m * before[name] + (1 - m) * new for name, new in paper.context.items()}
    following = Progress(epoch=2, epochs=3, step=4, steps_per_epoch=2)
    arrays, masks = plain(chexworld, views, following)
    terms = chexworld.loss(views, following)
    expected = paper.losses(arrays, masks)
    assert terms["loss_intra"].item() == pytest.approx(expected[0], rel=1e-9)
    assert terms["loss_extra"].item() == pytest.approx(expected[1], rel=1e-9)


def test_official_checkpoint_fits(chexworld: CheXWorld) -> None:
    load_official(chexworld, official_shapes(policy=16 + 5), OFFICIAL_NAMES)


def test_config_matches_the_published_command() -> None:
    """Rates and momentum run 1.25 times as long as training; views and masks as published."""
    config = load_config(CONFIGS / "chexworld" / "pretrain.py")
    views = build(config.method.views)
    assert (views.scale, views.flip, views.size) == ((0.3, 1.0), 0.5, 224)
    assert (views.jitter.brightness, views.jitter.contrast, views.jitter.jitter) == (0.4, 0.4, 0.8)
    change = views.change
    assert (change.brightness, change.contrast, change.gamma) == (0.4, 0.4, 2.0)
    assert (change.jitter, change.blur, change.sigma) == (0.8, 0.2, (0.1, 2.0))
    assert config.method.encoder.class_token is False
    assert config.method.masking.context_scale == (0.75, 1.0)
    assert (config.method.predictor.width, config.method.predictor.depth) == (384, 6)
    assert (config.batch_size, config.lr_batch, config.clip_grad.max_norm) == (2048, None, 1.0)
    assert config.optimizer.weight_decay == 0.05
    rate = build(config.schedule, epochs=300)
    for epoch, expected in ((0, 0), (50, 2e-4), (300, 2.6e-5)):
        assert config.base_lr * rate(epoch) == pytest.approx(expected, rel=0.01)
    momentum = build(config.method.momentum)
    assert momentum(Progress(epochs=300, step=300)) == pytest.approx(0.99962, abs=1e-5)

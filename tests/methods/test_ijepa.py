"""I-JEPA against its formulas in double precision, its target encoder and official checkpoint."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from finite_differences import assert_slopes
from numpy_distillation import gradient_step
from numpy_vit import block, double_weights, layer_norm, linear, patch_tokens, vit_layers
from official_shapes import block as block_shapes
from official_shapes import encoder as encoder_shapes
from official_shapes import linear as linear_shapes
from official_shapes import load_official, norm
from torch import Tensor

from benchmark.data.views.single import SingleView
from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.method_cards import CONFIGS
from benchmark.nn.decoders.feature_predictors import JEPAPredictor
from benchmark.nn.ema import LinearMomentum
from benchmark.nn.masking.jepa import MultiblockMasking
from benchmark.nn.state_dict_names import translate
from benchmark.nn.vit import VisionTransformer
from benchmark.registry import build
from benchmark.training.config import load_config
from methods.ijepa import IJEPA, OFFICIAL_NAMES

# 48² pixels, 6×6 patches.
VIT = dict(img_size=48, patch_size=8, embed_dim=32, depth=2, num_heads=4, class_token=False)


def make(official_code: bool = False, **arguments) -> IJEPA:
    settings = dict(
        views=dict(type=SingleView, size=48, flip=0.0),
        encoder=dict(type=VisionTransformer, **VIT),
        predictor=dict(type=JEPAPredictor, width=16, depth=2),
        masking=dict(type=MultiblockMasking, min_keep=3, official_code=official_code),
        momentum=dict(type=LinearMomentum, start=0.6, end=1.0),
    )
    return IJEPA(**{**settings, **arguments})


@pytest.fixture
def ijepa(randomise) -> IJEPA:
    method = make()
    for seed, part in enumerate((method.encoder, method.predictor, method.target_encoder)):
        randomise(part, seed)
    return method.double()


@pytest.fixture
def views() -> dict[str, Tensor]:
    image = np.random.default_rng(5).normal(0, 1, (3, 3, 48, 48))
    return {"image": torch.from_numpy(image), "index": torch.tensor([4, 70_000, 9])}


def encode(image: np.ndarray, weights: dict, visible: list[int] | None = None) -> np.ndarray:
    """Features of the visible patches of one image, or of all, K×D."""
    layers = vit_layers(patch_tokens(image, weights), weights, visible=visible)
    return layer_norm(layers[-1], weights, "norm")


def predict(
    latent: np.ndarray, weights: dict, places: np.ndarray, queries: np.ndarray
) -> np.ndarray:
    """What the predictor makes of the context at `places` (K×width) and of the queries; T×D."""
    x = np.concatenate([linear(latent, weights, "predictor_embed") + places, queries])
    for number in range(2):
        x = block(x, weights, f"predictor_blocks.{number}", 4)
    x = layer_norm(x[len(latent) :], weights, "predictor_norm")
    return linear(x, weights, "predictor_proj")


def normalised(features: np.ndarray) -> np.ndarray:
    centred = features - features.mean(axis=1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)


def smooth_l1(error: np.ndarray) -> np.ndarray:
    size = np.abs(error)
    return np.where(size < 1, 0.5 * size**2, size - 0.5)


class PaperIJEPA:
    """The loss written out image by image and block by block."""

    def __init__(self, method: IJEPA) -> None:
        self.context = double_weights(method.encoder)
        self.target = double_weights(method.target_encoder.module)
        self.predictor = double_weights(method.predictor)

    def loss(self, images: np.ndarray, seen: list, hidden: list) -> float:
        table, token = self.predictor["predictor_pos_embed"][0], self.predictor["mask_token"][0]
        errors = []
        for image, context, blocks in zip(images, seen, hidden):
            features = normalised(encode(image, self.target))
            latent = encode(image, self.context, context)
            for target in blocks:
                found = predict(latent, self.predictor, table[context], token + table[target])
                errors.append(smooth_l1(found - features[target]))
        return float(np.mean(errors))


def masks_of(method: IJEPA, views: dict[str, Tensor], progress: Progress) -> tuple[list, list]:
    blocks = method.masking(views, progress)
    return blocks.context.tolist(), blocks.targets.tolist()


def test_loss_and_gradients_match_the_paper(ijepa: IJEPA, views: dict[str, Tensor]) -> None:
    paper, progress = PaperIJEPA(ijepa), Progress(step=2)
    seen, hidden = masks_of(ijepa, views, progress)
    images = views["image"].numpy()
    found = ijepa.loss(views, progress)["loss_prediction"]
    assert found.item() == pytest.approx(paper.loss(images, seen, hidden), rel=1e-9)

    found.backward()
    places = [
        (ijepa.encoder, paper.context, "patch_embed.proj.weight", (3, 1, 2, 2)),
        (ijepa.encoder, paper.context, "blocks.0.attn.qkv.weight", (40, 7)),
        (ijepa.encoder, paper.context, "norm.weight", (5,)),
        (ijepa.predictor, paper.predictor, "predictor_embed.weight", (2, 9)),
        (ijepa.predictor, paper.predictor, "mask_token", (0, 0, 3)),
        (ijepa.predictor, paper.predictor, "predictor_blocks.1.mlp.fc1.weight", (6, 1)),
        (ijepa.predictor, paper.predictor, "predictor_proj.bias", (4,)),
    ]
    assert_slopes(lambda: paper.loss(images, seen, hidden), places, rel=1e-5, abs=1e-10)
    assert all(p.grad is None for p in ijepa.target_encoder.parameters())


def test_second_step_predicts_the_ema_targets(ijepa: IJEPA, views: dict[str, Tensor]) -> None:
    images = views["image"].numpy()
    now = Progress(epoch=1, epochs=2, step=3, steps_per_epoch=2)
    before = double_weights(ijepa.target_encoder.module, copy=True)
    gradient_step(ijepa, ijepa.loss(views, now)["loss_prediction"], 0.5)
    ijepa.after_step(now)

    m = 0.6 + 3 / 4 * 0.4
    paper = PaperIJEPA(ijepa)
    paper.target = {name: m * before[name] + (1 - m) * new for name, new in paper.context.items()}
    following = Progress(epoch=2, epochs=3, step=4, steps_per_epoch=2)
    seen, hidden = masks_of(ijepa, views, following)
    found = ijepa.loss(views, following)["loss_prediction"]
    assert found.item() == pytest.approx(paper.loss(images, seen, hidden), rel=1e-9)


def official_shapes(policy: int = 0) -> dict[str, tuple[int, ...]]:
    """The three dictionaries of a checkpoint; with `policy`, the inputs of CheXWorld's MLP."""
    vit = encoder_shapes(32, 2, 36, 8) | {"pos_embed": (1, 36, 32)}
    del vit["cls_token"]
    predictor = {"mask_token": (1, 1, 16), "predictor_pos_embed": (1, 36, 16)}
    predictor |= linear_shapes("predictor_embed", 32, 16) | norm("predictor_norm", 16)
    predictor |= linear_shapes("predictor_proj", 16, 32)
    for number in range(2):
        predictor |= block_shapes(f"predictor_blocks.{number}", 16)
    if policy:
        predictor |= linear_shapes("policy_net.0", policy, 16)
        for number in (2, 4):
            predictor |= linear_shapes(f"policy_net.{number}", 16, 16)
    parts = {"encoder": vit, "target_encoder": vit, "predictor": predictor}
    return {f"{part}.{name}": s for part, shapes in parts.items() for name, s in shapes.items()}


def test_official_checkpoint_fits(ijepa: IJEPA) -> None:
    """Every name is behind `module.`."""
    shapes = {name.replace(".", ".module.", 1): s for name, s in official_shapes().items()}
    load_official(ijepa, shapes, OFFICIAL_NAMES)
    with pytest.raises(InputError, match=r"no rule for the name 'opt.state'"):
        translate("opt.state", OFFICIAL_NAMES)


def test_invalid_parts_are_refused() -> None:
    with pytest.raises(InputError, match=r"encoder.class_token must be False"):
        make(encoder=dict(type=VisionTransformer, **{**VIT, "class_token": True}))


def test_config_matches_the_recipe_of_the_paper() -> None:
    """Crops without mirroring, absolute rates, weight decay 0.04 → 0.4, momentum to 1."""
    config = load_config(CONFIGS / "ijepa" / "pretrain.py")
    assert config.method.views.scale == (0.3, 1.0)
    assert config.method.views.flip == 0
    assert config.method.encoder.class_token is False
    assert (config.method.predictor.width, config.method.predictor.depth) == (384, 6)
    assert (config.batch_size, config.lr_batch, config.clip_grad) == (2048, None, None)
    rate, decay = (build(config[name], epochs=600) for name in ("schedule", "decay_schedule"))
    for epoch, expected in ((0, 1e-4), (15, 1e-3), (600, 1e-6)):
        assert config.base_lr * rate(epoch) == pytest.approx(expected)
    for epoch, expected in ((0, 0.04), (300, 0.22), (600, 0.4)):
        assert config.optimizer.weight_decay * decay(epoch) == pytest.approx(expected)
    momentum = build(config.method.momentum)
    for step, expected in ((0, 0.996), (300, 0.998), (600, 1.0)):
        assert momentum(Progress(epochs=600, step=step)) == pytest.approx(expected)

"""MoCo v3 against its formulas in double precision, its averages, and its official checkpoint."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from finite_differences import assert_slopes
from numpy_distillation import (
    averaged,
    gradient_step,
    part_of,
    projected,
    several_views,
    vit_tokens,
)
from numpy_vit import double_weights
from official_shapes import Shapes, encoder, load_official
from torch import Tensor

from benchmark.data.views.multi import TwoViews
from benchmark.method import Progress
from benchmark.nn.ema import CosineMomentum
from benchmark.nn.projection import ProjectionMLP
from benchmark.nn.vit import VisionTransformer
from benchmark.training.config import load_config
from benchmark.training.optim import build_optimizer
from methods.moco_v3 import OFFICIAL_NAMES, MoCoV3

TEMPERATURE = 0.2
PROGRESS = Progress(epoch=2, epochs=5, step=7, steps_per_epoch=3)


def make(**arguments: Any) -> MoCoV3:
    torch.manual_seed(0)
    vit = dict(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=4)
    parts = dict(
        views=dict(type=TwoViews, size=32),
        encoder=dict(type=VisionTransformer, **vit),
        projector=dict(type=ProjectionMLP, layers=3, hidden=24, out_dim=10),
        predictor=dict(type=ProjectionMLP, layers=2, hidden=24),
        momentum=dict(type=CosineMomentum, start=0.9),
        temperature=TEMPERATURE,
    )
    return MoCoV3(**{**parts, **arguments})


@pytest.fixture
def moco(randomise) -> MoCoV3:
    """Momentum encoder and projector apart from the base ones, and nothing at a special value."""
    return randomise(make(), 1).double().train()


@pytest.fixture
def views() -> dict[str, Tensor]:
    return several_views(local=0)


def paper_loss(weights: dict[str, np.ndarray], views: dict[str, Tensor]) -> float:
    """2T Σ of −log exp(q·k⁺/T) / Σ exp(q·k/T), query by query and key by key."""
    queries, keys = [], []
    for name in ("image_0", "image_1"):
        images = views[name].numpy()
        tokens = [vit_tokens(part_of(weights, "encoder."), image)[0] for image in images]
        query = projected(part_of(weights, "projector."), np.array(tokens))
        query = projected(part_of(weights, "predictor."), query)
        momentum = part_of(weights, "momentum_encoder.module.")
        tokens = [vit_tokens(momentum, image)[0] for image in images]
        key = projected(part_of(weights, "momentum_projector.module."), np.array(tokens))
        queries.append(query)
        keys.append(key)
    loss = 0.0
    for query, key in ((queries[0], keys[1]), (queries[1], keys[0])):
        for number, q in enumerate(query):
            cosines = [q @ k / np.linalg.norm(q) / np.linalg.norm(k) for k in key]
            exponents = np.exp(np.array(cosines) / TEMPERATURE)
            loss -= math.log(exponents[number] / exponents.sum()) / len(query)
    return 2 * TEMPERATURE * loss


def test_loss_and_gradients_match_the_paper(moco: MoCoV3, views: dict[str, Tensor]) -> None:
    weights = double_weights(moco, copy=True)
    terms = moco.loss(views, PROGRESS)
    assert list(terms) == ["loss_contrast"]
    assert terms["loss_contrast"].item() == pytest.approx(paper_loss(weights, views), rel=1e-8)
    terms["loss_contrast"].backward()
    places = [
        ("encoder.cls_token", (0, 0, 5)),
        ("encoder.blocks.0.attn.qkv.weight", (40, 3)),
        ("projector.3.weight", (7, 11)),
        ("projector.1.bias", (4,)),
        ("predictor.0.weight", (3, 2)),
    ]
    assert_slopes(
        lambda: paper_loss(weights, views),
        [(moco, weights, name, place) for name, place in places],
        rel=1e-4,
        abs=1e-8,
    )


def test_second_step_uses_the_momentum_of_that_step(moco: MoCoV3, views: dict[str, Tensor]) -> None:
    """m = 1 − (1 − 0.9)(1 + cos πt)/2 of the step whose keys are made; parameters only."""
    before = double_weights(moco, copy=True)
    gradient_step(moco, moco.loss(views, PROGRESS)["loss_contrast"], 0.3)
    moco.after_step(PROGRESS)

    t = 8 / (5 * 3)
    m = 1 - (1 - 0.9) * 0.5 * (1 + math.cos(math.pi * t))
    weights = double_weights(moco, copy=True)
    parameters = {name for name, _ in moco.named_parameters()}
    for part in ("encoder", "projector"):
        prefix = f"momentum_{part}.module."
        student = part_of(weights, f"{part}.")
        names = [name for name in student if f"{part}.{name}" in parameters]
        teacher = averaged(part_of(before, prefix), student, m, names)
        weights |= {prefix + name: value for name, value in teacher.items()}
    following = Progress(epoch=2, epochs=5, step=8, steps_per_epoch=3)
    found = moco.loss(views, following)["loss_contrast"].item()
    assert found == pytest.approx(paper_loss(weights, views), rel=1e-8)
    assert found != pytest.approx(paper_loss(before, views), rel=1e-3)


def test_momentum_projector_keeps_its_own_statistics(
    moco: MoCoV3, views: dict[str, Tensor]
) -> None:
    """It normalises by the batch, moves its running statistics by it, and copies none."""
    own, base = moco.momentum_projector.module, moco.projector
    assert own.training
    inputs = []
    own[1].register_forward_pre_hook(lambda module, args: inputs.append(args[0]))
    moco.loss(views, PROGRESS)
    expected = 0.9 * 0.1 * inputs[0].mean(dim=0) + 0.1 * inputs[1].mean(dim=0)
    torch.testing.assert_close(own[1].running_mean, expected)
    kept = own[1].running_mean.clone()
    assert not torch.equal(kept, base[1].running_mean)
    moco.after_step(PROGRESS)
    assert torch.equal(own[1].running_mean, kept)
    # Normalised without scale and shift, keys have mean 0 over the batch.
    keys = moco.key(views["image_0"])
    torch.testing.assert_close(keys.mean(dim=0), torch.zeros(10).double(), atol=1e-12, rtol=0)
    assert not keys.requires_grad


def test_only_the_patch_embedding_is_frozen(moco: MoCoV3, views: dict[str, Tensor]) -> None:
    moco.loss(views, PROGRESS)["loss_contrast"].backward()
    frozen = {n for n, p in moco.named_parameters() if p.grad is None or not p.grad.any()}
    own = {name for name in frozen if not name.startswith("momentum_")}
    patches = "encoder.patch_embed.proj"
    assert own == {"encoder.pos_embed", f"{patches}.weight", f"{patches}.bias"}
    assert make(freeze_patch_embed=False).encoder.patch_embed.proj.weight.requires_grad
    assert moco.exports() == {"encoder": moco.encoder}


def test_initial_weights() -> None:
    """Query, key and value are three square matrices; projectors have BN without scale last."""
    moco = make(
        encoder=dict(type=VisionTransformer, img_size=32, embed_dim=128, depth=1, num_heads=4)
    )
    bound = math.sqrt(6 / (128 + 128))
    largest = moco.encoder.blocks[0].attn.qkv.weight.abs().max().item()
    assert 0.99 * bound < largest <= bound
    other = moco.encoder.blocks[0].mlp.fc1.weight.abs().max().item()
    assert 0.99 * math.sqrt(6 / (5 * 128)) < other <= math.sqrt(6 / (5 * 128))
    assert moco.encoder.cls_token.std().item() == pytest.approx(1e-6, rel=0.3)
    patches = moco.encoder.patch_embed.proj.weight
    bound = math.sqrt(6 / (3 * 16 * 16 + 128))
    assert 0.99 * bound < patches.abs().max().item() <= bound
    assert not moco.encoder.patch_embed.proj.bias.any()
    base, average = moco.encoder.state_dict(), moco.momentum_encoder.module.state_dict()
    assert all(torch.equal(base[name], average[name]) for name in base)


def test_published_recipe() -> None:
    """Sizes of the projectors; weight decay for all parameters, in one group; never cut."""
    config = load_config("configs/moco_v3/pretrain.py")
    assert config.micro_batch is None
    method = config.method
    small = dict(img_size=32, embed_dim=32, depth=1, num_heads=2)
    moco = make(
        encoder={**method.encoder, **small},
        projector=method.projector,
        predictor=method.predictor,
        momentum=method.momentum,
    )
    layers = [p.shape for p in (*moco.projector.parameters(), *moco.predictor.parameters())]
    assert [tuple(shape) for shape in layers if len(shape) == 2] == [
        (4096, 32), (4096, 4096), (256, 4096), (4096, 256), (256, 4096)
    ]  # fmt: skip
    assert [moco.projector[7].affine, moco.predictor[4].affine] == [False, False]
    wrapper = build_optimizer(moco, config.optimizer, lr=1.0, decay_biases=config.decay_biases)
    assert [group["weight_decay"] for group in wrapper.optimizer.param_groups] == [0.1]
    assert moco.momentum_encoder.momentum(Progress()) == pytest.approx(0.99)


def test_official_checkpoint_fits(moco: MoCoV3) -> None:
    shapes: Shapes = {}
    for name in ("base_encoder", "momentum_encoder"):
        parts = encoder(32, 2, 16, 8) | mlp("head", [32, 24, 24, 10])
        shapes |= {f"module.{name}.{key}": shape for key, shape in parts.items()}
    shapes |= {f"module.{key}": shape for key, shape in mlp("predictor", [10, 24, 10]).items()}
    load_official(moco, shapes, OFFICIAL_NAMES)


def mlp(name: str, widths: list[int]) -> Shapes:
    """Linear layers without bias, batch norms, the last one without scale and shift."""
    shapes: Shapes = {}
    for number, (inputs, outputs) in enumerate(pairwise(widths)):
        shapes[f"{name}.{3 * number}.weight"] = (outputs, inputs)
        norm = f"{name}.{3 * number + 1}"
        kept = ["running_mean", "running_var"]
        if number < len(widths) - 2:
            kept += ["weight", "bias"]
        shapes |= {f"{norm}.{key}": (outputs,) for key in kept}
        shapes[f"{norm}.num_batches_tracked"] = ()
    return shapes

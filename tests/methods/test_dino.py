"""DINO against its formulas in double precision, its teacher, and its official checkpoint."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from finite_differences import assert_slopes
from numpy_distillation import (
    PARTS,
    PROGRESS,
    TEMPERATURES,
    entropy,
    gradient_step,
    official_shapes,
    part_of,
    prototype_logits,
    several_views,
    teacher_after,
    vit_tokens,
)
from numpy_vit import double_weights
from official_shapes import load_official
from torch import Tensor

from benchmark.data.synthetic import angiogram
from benchmark.method import Progress
from benchmark.method_cards import CONFIGS
from benchmark.nn.state_dict_names import translate
from benchmark.randomness import seed_torch
from benchmark.registry import build
from benchmark.training.clipping import ClipEachTensor
from benchmark.training.config import load_config
from benchmark.training.optim import build_optimizer
from methods.dino import DINO, OFFICIAL_NAMES


@pytest.fixture
def dino(randomise) -> DINO:
    """Student, teacher and centre apart from each other."""
    method = randomise(DINO(**PARTS), 1).double().train()
    method.centre.value.copy_(0.2 * torch.randn(1, 12, generator=torch.Generator().manual_seed(2)))
    return method


def logits(weights: dict[str, np.ndarray], prefix: str, module: str, images: Tensor) -> np.ndarray:
    """Of every image, one at a time."""
    vit, head = (part_of(weights, f"{prefix}{name}{module}.") for name in ("encoder", "head"))
    return np.array([prototype_logits(head, vit_tokens(vit, x)[0]) for x in images.numpy()])


def paper_loss(weights: dict[str, np.ndarray], views: dict[str, Tensor]) -> float:
    """Over pairs of a view of the teacher and another one of the student."""
    large = [views["image_0"], views["image_1"]]
    teacher = [logits(weights, "teacher_", ".module", images) for images in large]
    small = views["local"].split(4) if "local" in views else ()
    student = [logits(weights, "", "", images) for images in (*large, *small)]
    errors = [
        entropy(teacher[t][n], student[s][n], weights["centre.value"], TEMPERATURES)
        for t in range(2)
        for s in range(len(student))
        for n in range(4)
        if t != s
    ]
    return float(np.mean(errors))


@pytest.mark.parametrize("local", [0, 2])
def test_loss_and_gradients_match_the_paper(dino: DINO, local: int) -> None:
    weights, views = double_weights(dino, copy=True), several_views(local)
    terms = dino.loss(views, PROGRESS)
    assert list(terms) == ["loss_class"]
    assert terms["loss_class"].item() == pytest.approx(paper_loss(weights, views), rel=1e-8)
    terms["loss_class"].backward()
    places = [
        ("encoder.cls_token", (0, 0, 5)),
        ("encoder.pos_embed", (0, 6, 3)),
        ("encoder.patch_embed.proj.weight", (4, 1, 2, 3)),
        ("head.mlp.2.weight", (7, 11)),
        ("head.last_layer.weight_v", (3, 5)),
    ]
    assert_slopes(
        lambda: paper_loss(weights, views),
        [(dino, weights, name, place) for name, place in places],
        rel=1e-4,
        abs=1e-8,
    )


def test_second_step_uses_the_updated_teacher_and_centre(dino: DINO) -> None:
    """θ' = m·θ' + (1 − m)·θ after the step; C = 0.9·C + 0.1·mean, of the logits before it."""
    before, views = double_weights(dino, copy=True), several_views()
    gradient_step(dino, dino.loss(views, PROGRESS)["loss_class"], 0.3)
    assert np.array_equal(dino.centre.value.numpy(), before["centre.value"])
    dino.after_step(PROGRESS)

    weights = teacher_after(before, double_weights(dino, copy=True))
    large = torch.cat([views["image_0"], views["image_1"]])
    mean = logits(before, "teacher_", ".module", large).mean(axis=0, keepdims=True)
    weights["centre.value"] = 0.9 * before["centre.value"] + 0.1 * mean
    np.testing.assert_allclose(dino.centre.value.numpy(), weights["centre.value"], rtol=1e-10)
    found = dino.loss(views, PROGRESS)["loss_class"].item()
    assert found == pytest.approx(paper_loss(weights, views), rel=1e-8)


def test_last_layer_is_frozen_in_the_first_epochs(dino: DINO) -> None:
    dino.freeze_last_layer, views = 2, several_views()
    optimizer = torch.optim.AdamW(
        [p for p in dino.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.5
    )
    optimizer.register_step_pre_hook(lambda *_: dino.before_step(dino.progress))
    before = double_weights(dino, copy=True)
    for epoch, moves in ((0, False), (1, False), (2, True)):
        dino.progress = Progress(epoch=epoch, epochs=5)
        optimizer.zero_grad()
        dino.loss(views, dino.progress)["loss_class"].backward()
        optimizer.step()
        rows = dino.head.last_layer.weight_v.detach().numpy()
        assert np.array_equal(rows, before["head.last_layer.weight_v"]) == (not moves)
        mlp = dino.head.mlp[0].weight.detach().numpy()
        assert not np.array_equal(mlp, before["head.mlp.0.weight"])


def test_initial_weights() -> None:
    """Normal with std 0.02, the patch embedding as torch's convolutions start, K/√in rows."""
    dino = DINO(**PARTS)
    assert dino.exports() == {"encoder": dino.teacher_encoder.module}
    for weight in (
        dino.encoder.blocks[1].attn.qkv.weight,
        dino.encoder.blocks[0].mlp.fc2.weight,
        dino.encoder.pos_embed,
        dino.head.mlp[0].weight,
    ):
        assert weight.std().item() == pytest.approx(0.02, rel=0.15)
    patches = dino.encoder.patch_embed.proj
    bound = 1 / math.sqrt(3 * 8 * 8)
    assert 0.98 * bound < patches.weight.abs().max().item() <= bound
    assert patches.bias.any()
    assert torch.equal(dino.head.last_layer.weight_g, torch.ones(12, 1))


def test_published_recipe() -> None:
    """Weight decay 0.04 but for biases and vectors, rising to 0.4; crops; last learning rate."""
    config = load_config("configs/dino/pretrain.py")
    peak = config.base_lr * config.batch_size / config.lr_batch
    assert peak == pytest.approx(3e-3)
    assert peak * config.schedule.min_factor == pytest.approx(2e-6)
    assert config.optimizer.weight_decay * config.decay_schedule.end == pytest.approx(0.4)
    assert config.method.head.prototypes == 65536
    assert (config.clip_grad.type, config.clip_grad.max_norm) == (ClipEachTensor, 0.3)
    groups = build_optimizer(DINO(**PARTS), config.optimizer, lr=1.0).optimizer.param_groups
    decays = {name: group["weight_decay"] for group in groups for name in group["names"]}
    spared = {name for name, decay in decays.items() if decay == 0}
    assert spared == {name for name in decays if name.endswith(".bias") or ".norm" in name}
    assert decays["encoder.cls_token"] == decays["encoder.pos_embed"] == 0.04


@pytest.mark.slow
def test_views_at_scale_mini_agree_enough_for_the_temperatures() -> None:
    """Or the student's logits would spread less than the teacher's, and less again, to uniform.

    Where those of two views correlate by ρ, its best guess spreads by ρ·T_s/T_t of the teacher's.
    """
    images = np.stack([angiogram(1, patient, frame=7, size=256).image for patient in range(64)])
    batch = {
        "frame": torch.from_numpy(images),
        "valid": torch.full((64, 2), 256),
        "index": torch.arange(64),
    }

    def growth(scale: str) -> float:
        config = load_config(CONFIGS / "dino" / "pretrain.py", scale)
        seed_torch(0, "weights")
        method = build(config.method)
        with torch.no_grad():
            views = method.views.make(batch)
            first, second = (
                method.teacher_head(method.teacher_encoder(views[name])[:, 0])
                for name in ("image_0", "image_1")
            )
        first, second = first - first.mean(dim=0), second - second.mean(dim=0)
        agreement = (first * second).sum() / (first.norm() * second.norm())
        return agreement.item() * method.student_temperature / config.method.teacher_temperature.end

    assert growth("mini") > 1.2
    # As on natural images: other brightness, smaller crops, a warmer teacher.
    assert growth("tiny") < 0.5


def test_official_checkpoint_fits(dino: DINO) -> None:
    """`student`, `teacher` and `dino_loss`."""
    load_official(dino, official_shapes() | {"center": (1, 12)}, OFFICIAL_NAMES)
    assert translate("backbone.norm.bias", OFFICIAL_NAMES) == "teacher_encoder.module.norm.bias"

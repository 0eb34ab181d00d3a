"""DINO against its formulas in double precision, its teacher, and its official checkpoint."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from finite_differences import slope
from numpy_distillation import (
    averaged,
    entropy,
    gradient_step,
    part_of,
    prototype_logits,
    several_views,
    vit_tokens,
)
from numpy_vit import double_weights
from official_shapes import Shapes, encoder, linear
from torch import Tensor

from benchmark.data.views.multi import MultiCrop
from benchmark.method import Progress
from benchmark.nn.backbones.multicrop_vit import MultiCropViT
from benchmark.nn.ema import CosineMomentum
from benchmark.nn.objectives.self_distillation import TeacherTemperature
from benchmark.nn.projection import PrototypeHead
from benchmark.nn.state_dict_names import translate
from benchmark.training.clipping import ClipEachTensor
from benchmark.training.config import load_config
from benchmark.training.optim import build_optimizer
from methods.dino import DINO, OFFICIAL_NAMES

# Of three epochs of warm-up the second: T = 0.04 + ½ · 0.03.
PROGRESS = Progress(epoch=1, epochs=5, step=4, steps_per_epoch=3)
TEMPERATURES = (0.055, 0.1)


def make(drop_path: float = 0.0, **arguments: Any) -> DINO:
    torch.manual_seed(0)
    vit = dict(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=4)
    parts = dict(
        views=dict(type=MultiCrop, size=32, local_size=16, local_count=2),
        encoder=dict(type=MultiCropViT, learned_pos_embed=True, drop_path=drop_path, **vit),
        head=dict(type=PrototypeHead, hidden=24, bottleneck=8, prototypes=12),
        momentum=dict(type=CosineMomentum, start=0.9),
        teacher_temperature=dict(type=TeacherTemperature, start=0.04, end=0.07, epochs=3),
    )
    return DINO(**{**parts, **arguments})


@pytest.fixture
def dino(randomise) -> DINO:
    """Student, teacher and centre apart from each other."""
    method = randomise(make(), 1).double().train()
    method.centre.value.copy_(0.2 * torch.randn(1, 12, generator=torch.Generator().manual_seed(2)))
    return method


@pytest.fixture
def views() -> dict[str, Tensor]:
    return several_views()


def logits(weights: dict[str, np.ndarray], prefix: str, module: str, images: Tensor) -> np.ndarray:
    """Of every image, one at a time."""
    vit, head = (part_of(weights, f"{prefix}{name}{module}.") for name in ("encoder", "head"))
    return np.array([prototype_logits(head, vit_tokens(vit, x)[0]) for x in images.numpy()])


def paper_loss(weights: dict[str, np.ndarray], views: dict[str, Tensor]) -> float:
    """Two views of the teacher, four of the student; six pairs of different ones."""
    large = [views["image_0"], views["image_1"]]
    teacher = [logits(weights, "teacher_", ".module", images) for images in large]
    student = [logits(weights, "", "", images) for images in (*large, *views["local"].split(4))]
    centre, errors = weights["centre.value"], []
    for t in range(2):
        for s in range(4):
            if t != s:
                errors += [
                    entropy(teacher[t][n], student[s][n], centre, TEMPERATURES) for n in range(4)
                ]
    assert len(errors) == 6 * 4
    return float(np.mean(errors))


def copied(method: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: value.copy() for name, value in double_weights(method).items()}


def test_loss_and_gradients_match_the_paper(dino: DINO, views: dict[str, Tensor]) -> None:
    """Both networks and all pairs in numpy, local crops at resampled positions, and slopes."""
    weights = copied(dino)
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
    for name, place in places:
        expected = slope(lambda: paper_loss(weights, views), weights[name], place)
        found = dino.get_parameter(name).grad[place].item()
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-8)


def test_second_step_uses_the_updated_teacher_and_centre(
    dino: DINO, views: dict[str, Tensor]
) -> None:
    """θ' = m·θ' + (1 − m)·θ after the step; C = 0.9·C + 0.1·mean, of the logits before it."""
    before = copied(dino)
    gradient_step(dino, dino.loss(views, PROGRESS)["loss_class"], 0.3)
    assert np.array_equal(dino.centre.value.numpy(), before["centre.value"])
    dino.after_step(PROGRESS)

    m = 1 - (1 - 0.9) * (1 + math.cos(math.pi * 4 / 15)) / 2
    weights = copied(dino)
    for part in ("encoder", "head"):
        prefix, student = f"teacher_{part}.module.", part_of(weights, f"{part}.")
        teacher = averaged(part_of(before, prefix), student, m, list(student))
        weights |= {prefix + name: value for name, value in teacher.items()}
    large = torch.cat([views["image_0"], views["image_1"]])
    mean = logits(before, "teacher_", ".module", large).mean(axis=0, keepdims=True)
    weights["centre.value"] = 0.9 * before["centre.value"] + 0.1 * mean
    np.testing.assert_allclose(dino.centre.value.numpy(), weights["centre.value"], rtol=1e-10)
    found = dino.loss(views, PROGRESS)["loss_class"].item()
    assert found == pytest.approx(paper_loss(weights, views), rel=1e-8)


def test_without_local_crops_two_pairs_remain(dino: DINO) -> None:
    views = several_views(local=0)
    weights = copied(dino)
    large = [views["image_0"], views["image_1"]]
    teacher = [logits(weights, "teacher_", ".module", images) for images in large]
    student = [logits(weights, "", "", images) for images in large]
    centre = weights["centre.value"]
    errors = [
        entropy(teacher[t][n], student[1 - t][n], centre, TEMPERATURES)
        for t in range(2)
        for n in range(4)
    ]
    found = dino.loss(views, PROGRESS)["loss_class"].item()
    assert found == pytest.approx(np.mean(errors), rel=1e-8)


def test_teacher_has_no_drop_path_and_no_gradient(views: dict[str, Tensor]) -> None:
    """It starts as the student is, sees the same at every call, and is what is exported."""
    dino = make(drop_path=0.9).double().train()
    images = views["image_0"]
    once, again = dino.teacher_encoder(images), dino.teacher_encoder(images)
    assert torch.equal(once, again)
    assert not torch.equal(dino.encoder(images), dino.encoder(images))
    torch.testing.assert_close(once, dino.encoder.eval()(images).detach())
    dino.train().loss(views, PROGRESS)["loss_class"].backward()
    own = ("teacher_encoder.", "teacher_head.")
    assert all(p.grad is None for name, p in dino.named_parameters() if name.startswith(own))
    assert dino.exports() == {"encoder": dino.teacher_encoder.module}


def test_last_layer_is_frozen_in_the_first_epochs(dino: DINO, views: dict[str, Tensor]) -> None:
    """Neither gradient nor weight decay moves it; everything else moves."""
    dino.freeze_last_layer = 2
    optimizer = torch.optim.AdamW(
        [p for p in dino.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.5
    )
    optimizer.register_step_pre_hook(lambda *_: dino.before_step(dino.progress))
    before = copied(dino)
    for epoch, moves in ((0, False), (1, False), (2, True)):
        dino.progress = Progress(epoch=epoch, epochs=5)
        optimizer.zero_grad()
        dino.loss(views, dino.progress)["loss_class"].backward()
        optimizer.step()
        rows = dino.head.last_layer.weight_v.detach().numpy()
        assert np.array_equal(rows, before["head.last_layer.weight_v"]) == (not moves)
        mlp = dino.head.mlp[0].weight.detach().numpy()
        assert not np.array_equal(mlp, before["head.mlp.0.weight"])


def test_micro_batches_give_the_same_loss_and_centre(dino: DINO, views: dict[str, Tensor]) -> None:
    """Loss and centre do not depend on how many parts a step is cut into."""
    other = copy.deepcopy(dino)
    whole = dino.loss(views, PROGRESS)["loss_class"].item()
    dino.after_step(PROGRESS)
    parts = []
    for rows in (slice(0, 2), slice(2, 4)):
        local = torch.cat([crop[rows] for crop in views["local"].split(4)])
        part = {name: views[name][rows] for name in ("image_0", "image_1", "index")}
        parts.append(other.loss({**part, "local": local}, PROGRESS)["loss_class"].item())
    other.after_step(PROGRESS)
    assert np.mean(parts) == pytest.approx(whole, rel=1e-12)
    torch.testing.assert_close(other.centre.value, dino.centre.value, rtol=1e-12, atol=0)
    assert not DINO.cross_sample


def test_initial_weights() -> None:
    """Normal with std 0.02, the patch embedding as torch's convolutions start, K/√in rows."""
    dino = make()
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
    groups = build_optimizer(make(), config.optimizer, lr=1.0).optimizer.param_groups
    decays = {name: group["weight_decay"] for group in groups for name in group["names"]}
    spared = {name for name, decay in decays.items() if decay == 0}
    assert spared == {name for name in decays if name.endswith(".bias") or ".norm" in name}
    assert decays["encoder.cls_token"] == decays["encoder.pos_embed"] == 0.04


def test_official_checkpoint_fits(dino: DINO) -> None:
    """`student`, `teacher` and `dino_loss`: none missing, none unexpected."""
    parts = network_shapes()
    shapes: Shapes = {"center": (1, 12)} | parts
    shapes |= {f"module.{name}": shape for name, shape in parts.items()}
    state = {translate(name, OFFICIAL_NAMES): torch.randn(shape) for name, shape in shapes.items()}
    assert len(state) == len(shapes)
    dino.load_state_dict(state, strict=True)
    loaded = dino.teacher_head.module.last_layer.weight_v.float()
    assert torch.equal(loaded, state["teacher_head.module.last_layer.weight_v"])


def network_shapes() -> Shapes:
    """Backbone and head as the official code names them."""
    shapes: Shapes = {f"backbone.{name}": shape for name, shape in encoder(32, 2, 16, 8).items()}
    shapes |= linear("head.mlp.0", 32, 24) | linear("head.mlp.2", 24, 24)
    shapes |= linear("head.mlp.4", 24, 8)
    return shapes | {"head.last_layer.weight_g": (12, 1), "head.last_layer.weight_v": (12, 8)}

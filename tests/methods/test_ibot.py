"""iBOT against its formulas in double precision, its masks' role, and its official checkpoint."""

from __future__ import annotations

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

from benchmark.nn.masking.ibot import BlockwiseRatioMasking
from benchmark.nn.objectives.self_distillation import TeacherTemperature
from benchmark.training.config import load_config
from methods.ibot import IBOT, OFFICIAL_NAMES

# Of patches: the second of five epochs of warm-up.
PATCH_TEMPERATURES = (0.0475, 0.1)
Weights = dict[str, np.ndarray]


@pytest.fixture
def ibot(randomise) -> IBOT:
    """Student, teacher, centres and mask token apart from each other and from zero."""
    method = IBOT(
        **PARTS,
        masking=dict(type=BlockwiseRatioMasking, smallest=2),
        patch_temperature=dict(type=TeacherTemperature, start=0.04, end=0.07, epochs=5),
        class_weight=0.7,
        patch_weight=1.5,
    )
    assert not method.masked_embed.any()
    method = randomise(method, 1).double().train()
    generator = torch.Generator().manual_seed(2)
    for centre in (method.centre, method.patch_centre):
        centre.value.copy_(0.2 * torch.randn(centre.value.shape, generator=generator))
    return method


@pytest.fixture
def views() -> dict[str, Tensor]:
    """Masks are given by their random numbers: two images of the first view have none."""
    coin = torch.tensor([[0.2, 0.5], [0.7, 0.9], [0.8, 0.4], [0.1, 0.1]])
    return {**several_views(), "ratio_noise_0": coin, "ratio_noise_1": 1 - coin}


def masks_of(method: IBOT, views: dict[str, Tensor]) -> list[np.ndarray]:
    return [method.masking(views, PROGRESS, view).numpy() for view in range(2)]


def teacher_logits(weights: Weights, images: Tensor) -> np.ndarray:
    """Of CLS and all patches of every image, B×(1 + N)×K."""
    vit = part_of(weights, "teacher_encoder.module.")
    head = part_of(weights, "teacher_head.module.")
    return np.array(
        [[prototype_logits(head, token) for token in vit_tokens(vit, x)] for x in images.numpy()]
    )


def paper_losses(
    weights: Weights, views: dict[str, Tensor], masks: list[np.ndarray]
) -> tuple[float, float]:
    """L_CLS over pairs of different views, L_MIM over the masked patches of the same view."""
    vit, head = part_of(weights, "encoder."), part_of(weights, "head.")
    large = [views["image_0"], views["image_1"]]
    teacher = [teacher_logits(weights, images) for images in large]
    student = [
        [
            [prototype_logits(head, t) for t in vit_tokens(vit, x, m, weights["masked_embed"])]
            for x, m in zip(images.numpy(), mask)
        ]
        for images, mask in zip(large, masks)
    ]
    student += [
        [[prototype_logits(head, vit_tokens(vit, x)[0])] for x in images.numpy()]
        for images in views["local"].split(4)
    ]
    by_class = [
        entropy(teacher[t][n, 0], student[s][n][0], weights["centre.value"], TEMPERATURES)
        for t in range(2)
        for s in range(4)
        for n in range(4)
        if t != s
    ]
    by_patch, centre = [], weights["patch_centre.value"]
    for t, n in np.ndindex(2, 4):
        errors = [
            entropy(teacher[t][n, 1 + p], student[t][n][1 + p], centre, PATCH_TEMPERATURES)
            for p in range(16)
            if masks[t][n, p]
        ]
        by_patch.append(sum(errors) / max(len(errors), 1))
    return 0.7 * float(np.mean(by_class)), 1.5 * float(np.mean(by_patch))


def test_losses_and_gradients_match_the_paper(ibot: IBOT, views: dict[str, Tensor]) -> None:
    weights, masks = double_weights(ibot, copy=True), masks_of(ibot, views)
    counts = np.concatenate(masks).sum(axis=1)
    assert (counts == 0).any()
    assert len(set(counts)) > 2
    terms = ibot.loss(views, PROGRESS)
    expected = paper_losses(weights, views, masks)
    assert list(terms) == ["loss_class", "loss_patch", "masked"]
    assert terms["loss_class"].item() == pytest.approx(expected[0], rel=1e-8)
    assert terms["loss_patch"].item() == pytest.approx(expected[1], rel=1e-8)
    assert terms["masked"].item() == pytest.approx(np.mean(masks))

    (terms["loss_class"] + terms["loss_patch"]).backward()
    places = [
        ("masked_embed", (0, 9)),
        ("encoder.pos_embed", (0, 6, 3)),
        ("head.mlp.2.weight", (7, 11)),
        ("head.last_layer.weight_v", (3, 5)),
    ]
    assert_slopes(
        lambda: sum(paper_losses(weights, views, masks)),
        [(ibot, weights, name, place) for name, place in places],
        rel=1e-4,
        abs=1e-8,
    )


def test_second_step_uses_the_updated_teacher_and_centres(
    ibot: IBOT, views: dict[str, Tensor]
) -> None:
    """The centre of patches follows the mean over all patches of the teacher, masked or not."""
    before, masks = double_weights(ibot, copy=True), masks_of(ibot, views)
    terms = ibot.loss(views, PROGRESS)
    gradient_step(ibot, terms["loss_class"] + terms["loss_patch"], 0.3)
    ibot.after_step(PROGRESS)

    weights = teacher_after(before, double_weights(ibot, copy=True))
    seen = teacher_logits(before, torch.cat([views["image_0"], views["image_1"]]))
    means = {"centre": seen[:, 0].mean(axis=0), "patch_centre": seen[:, 1:].mean(axis=(0, 1))}
    for name, mean in means.items():
        weights[f"{name}.value"] = 0.9 * before[f"{name}.value"] + 0.1 * mean
        found = ibot.state_dict()[f"{name}.value"].numpy()
        np.testing.assert_allclose(found, weights[f"{name}.value"], rtol=1e-10)
    terms = ibot.loss(views, PROGRESS)
    expected = paper_losses(weights, views, masks)
    assert terms["loss_class"].item() == pytest.approx(expected[0], rel=1e-8)
    assert terms["loss_patch"].item() == pytest.approx(expected[1], rel=1e-8)


def test_a_batch_without_masks_keeps_all_gradients(ibot: IBOT, views: dict[str, Tensor]) -> None:
    none = torch.full((4, 2), 0.1)
    terms = ibot.loss({**views, "ratio_noise_0": none, "ratio_noise_1": none}, PROGRESS)
    assert terms["loss_patch"].item() == 0
    assert terms["masked"].item() == 0
    zeros = [np.zeros((4, 16))] * 2
    assert terms["loss_class"].item() == pytest.approx(
        paper_losses(double_weights(ibot), views, zeros)[0], rel=1e-8
    )
    (terms["loss_class"] + terms["loss_patch"]).backward()
    trained = {name: p.grad for name, p in ibot.named_parameters() if p.requires_grad}
    assert all(gradient is not None for gradient in trained.values())
    still = {name for name, gradient in trained.items() if not gradient.any()}
    assert still == {"masked_embed"}


def test_published_recipe_differs_from_dino_where_the_paper_does() -> None:
    config, dino = (load_config(f"configs/{name}/pretrain.py") for name in ("ibot", "dino"))
    method = config.method
    assert method.head.prototypes == 8192
    assert (method.views.scale, method.views.local_scale) == ((0.32, 1.0), (0.05, 0.32))
    assert method.views.local_count == 10
    same = "epochs batch_size base_lr optimizer decay_schedule clip_grad schedule"
    assert all(config[key] == dino[key] for key in same.split())
    assert dino.method.views.scale == (0.25, 1.0)  # not changed by the config that builds on it
    assert (method.masking.ratios, method.masking.spread) == ((0.0, 0.3), (0.0, 0.2))


def test_official_checkpoint_fits(ibot: IBOT) -> None:
    """`student`, `teacher` and `ibot_loss`; the shared last layer has two names."""
    shapes = official_shapes(("last_layer", "last_layer2"))
    shapes |= {"center": (1, 12), "center2": (1, 1, 12), "module.backbone.masked_embed": (1, 32)}
    load_official(ibot, shapes, OFFICIAL_NAMES)

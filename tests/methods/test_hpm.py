"""HPM against its formulas in double precision, its teacher, and its official checkpoint."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from finite_differences import assert_slopes
from numpy_vit import to_patches
from official_shapes import block, encoder, linear, load_official, mae_decoder, norm
from torch import Tensor, nn

from benchmark.data.views.single import SingleView
from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.nn.decoders.loss_prediction import (
    LossPredictingDecoder,
    RelativeLossPrediction,
)
from benchmark.nn.ema import EpochLinearMomentum
from benchmark.nn.masking.loss import LossGuidedMasking
from benchmark.nn.objectives.pixels import PixelReconstruction
from methods.hpm import HPM, OFFICIAL_NAMES

# α = 0.5 · 4 / 5 = 0.4: four of the twelve masked patches are the hardest.
PROGRESS = Progress(epoch=3, epochs=5)


@pytest.fixture
def make(tiny_vit, randomise) -> Callable[..., HPM]:
    def build(objective: nn.Module | None = None) -> HPM:
        decoder = LossPredictingDecoder(32, (4, 4), 8, width=16, depth=2, num_heads=2)
        return HPM(
            views=dict(type=SingleView, size=32),
            encoder=tiny_vit,
            decoder=randomise(decoder, 2),
            masking=dict(type=LossGuidedMasking, ratio=0.75),
            objective=objective or dict(type=PixelReconstruction, normalise=False),
            prediction=dict(type=RelativeLossPrediction),
            momentum=dict(type=EpochLinearMomentum, start=0.9, end=0.99, epochs=10),
        )

    return build


@pytest.fixture
def hpm(make, randomise) -> HPM:
    method = make()
    # Apart from each other, teacher and student cannot be mistaken.
    randomise(method.teacher_encoder, 3)
    randomise(method.teacher_decoder, 4)
    return method


class PaperHPM:
    """Reconstructor and loss predictor in numpy, each a MAE of its own with the shared tokens."""

    def __init__(self, paper_mae: type, vit, decoder) -> None:
        part = type("Part", (), {"encoder": vit, "decoder": decoder})()
        self.reconstructor, self.predictor = paper_mae(part), paper_mae(part)
        own = {
            name.replace("_losspred", ""): value
            for name, value in self.predictor.decoder.items()
            if "_losspred" in name
        }
        self.predictor.decoder = {**self.reconstructor.decoder, **own}
        self.predictor.encoder = self.reconstructor.encoder

    def difficulty(self, image: np.ndarray, visible: list[int]) -> np.ndarray:
        return self.predictor.predict(image, visible).mean(axis=1)


def paper_losses(
    student: PaperHPM, images: np.ndarray, masks: list[tuple[list[int], list[int]]], floor: float
) -> tuple[float, float]:
    """L_rec without normalised targets, and L_pred over all ordered pairs of the batch."""
    errors, entropy, pairs = [], 0.0, 0
    for image, (visible, masked) in zip(images, masks):
        prediction = student.reconstructor.predict(image, visible)
        targets = to_patches(image, 8)
        error = ((prediction - targets) ** 2).mean(axis=1)
        errors += error[masked].tolist()
        score = student.difficulty(image, visible)
        for i in masked:
            for j in masked:
                if error[i] != error[j]:
                    sign = 1 if error[j] > error[i] else -1
                    entropy -= np.log(1 / (1 + np.exp(-sign * (score[j] - score[i]))) + floor)
                    pairs += 1
    return float(np.mean(errors)), entropy / pairs


def paper_masks(
    teacher: PaperHPM, images: np.ndarray, noise: np.ndarray, hard: int
) -> list[tuple[list[int], list[int]]]:
    """The hardest patches by the teacher, who sees everything; the others by their noise."""
    masks = []
    for image, numbers in zip(images, noise):
        difficulty = teacher.difficulty(image, list(range(16)))
        chosen = np.argsort(difficulty)[::-1][:hard].tolist()
        others = [p for p in np.argsort(numbers)[::-1].tolist() if p not in chosen]
        masked = chosen + others[: 12 - hard]
        masks.append(([p for p in range(16) if p not in masked], masked))
    return masks


@pytest.mark.parametrize("official", [False, True])
def test_losses_and_gradients_match_the_paper(
    hpm: HPM, paper_mae: type, tiny_views: dict[str, Tensor], official: bool
) -> None:
    hpm.prediction = RelativeLossPrediction(official)
    student = PaperHPM(paper_mae, hpm.encoder, hpm.decoder)
    teacher = PaperHPM(paper_mae, hpm.teacher_encoder.module, hpm.teacher_decoder.module)
    images = tiny_views["image"].double().numpy()
    masks = paper_masks(teacher, images, tiny_views["mask_noise"].numpy(), hard=4)
    floor = 1e-6 if official else 0.0

    terms = hpm.loss(tiny_views, PROGRESS)
    expected = paper_losses(student, images, masks, floor)
    assert terms["loss_reconstruction"].item() == pytest.approx(expected[0], rel=1e-5)
    assert terms["loss_prediction"].item() == pytest.approx(expected[1], rel=1e-5)

    sum(value for name, value in terms.items() if "loss" in name).backward()
    predictor = student.predictor.decoder
    own = {re.sub("^([^.]*)", r"\1_losspred", name): value for name, value in predictor.items()}
    places = [
        (hpm.encoder, student.reconstructor.encoder, "cls_token", (0, 0, 5)),
        (hpm.encoder, student.reconstructor.encoder, "blocks.0.mlp.fc1.weight", (3, 7)),
        (hpm.decoder, student.reconstructor.decoder, "decoder_pred.weight", (11, 4)),
        (hpm.decoder, own, "decoder_pred_losspred.weight", (11, 4)),
        (hpm.decoder, own, "decoder_blocks_losspred.1.attn.qkv.weight", (40, 3)),
        (hpm.decoder, student.reconstructor.decoder, "mask_token", (0, 0, 2)),
    ]
    assert_slopes(lambda: sum(paper_losses(student, images, masks, floor)), places)


def test_teacher_follows_the_student_and_gets_no_gradient(
    hpm: HPM, tiny_views: dict[str, Tensor]
) -> None:
    """θ' ← m·θ' + (1 − m)·θ with the momentum of the epoch, encoder and both decoders."""
    sum(hpm.loss(tiny_views, PROGRESS).values()).backward()
    own = ("teacher_encoder.", "teacher_decoder.")
    assert all(p.grad is None for name, p in hpm.named_parameters() if name.startswith(own))
    before = {name: p.clone() for name, p in hpm.named_parameters() if name.startswith(own)}
    hpm.after_step(PROGRESS)
    m = 0.9 + 3 / 10 * 0.09
    student = dict(hpm.named_parameters())
    for name, old in before.items():
        followed = student[name.removeprefix("teacher_").replace(".module.", ".", 1)]
        torch.testing.assert_close(student[name], m * old + (1 - m) * followed)


def test_official_checkpoint_fits(hpm: HPM) -> None:
    """`state_dict`, behind `module.`, and `ema_state_dict`."""
    shapes = encoder(32, 2, 16, 8) | mae_decoder(32, 16, 2, 16, 8)
    shapes |= norm("decoder_norm_losspred", 16) | linear("decoder_pred_losspred", 16, 192)
    for number in range(2):
        shapes |= block(f"decoder_blocks_losspred.{number}", 16)
    shapes |= {f"module.{name}": shape for name, shape in shapes.items()}
    load_official(hpm, shapes, OFFICIAL_NAMES)


def test_objectives_without_per_patch_errors_are_refused(make) -> None:
    with pytest.raises(InputError, match="objective=Identity has no per-patch errors"):
        make(nn.Identity())

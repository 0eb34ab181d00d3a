"""One label per pixel: labels, losses and scores against torch, MONAI's formula and loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmark.downstream.segmentation.label_map import (
    LabelMapCrossEntropy,
    LabelMapDice,
    labels_of_bits,
)


def test_the_last_class_of_a_pixel_is_its_label():
    bits = torch.tensor([[[0, 1, 2], [3, 1 << 24, (1 << 24) | 1]]], dtype=torch.int32)
    expected = torch.tensor([[[0, 1, 2], [2, 25, 25]]])
    assert torch.equal(labels_of_bits(bits), expected)


@pytest.fixture
def case() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(2, 4, 5, 6, generator=generator, dtype=torch.float64)
    bits = torch.randint(0, 8, (2, 5, 6), generator=generator)
    return logits, bits


def test_losses_are_the_formulas(case):
    """Pixel by pixel, with the soft-max written out; the background has no Dice of its own."""
    logits, bits = (value.numpy() for value in case)
    exponential = np.exp(logits)
    share = exponential / exponential.sum(axis=1, keepdims=True)
    entropy, dice = [], []
    for image in range(2):
        label = np.zeros((5, 6), int)
        for row in range(5):
            for column in range(6):
                label[row, column] = int(bits[image, row, column]).bit_length()
                entropy.append(-np.log(share[image, label[row, column], row, column]))
        for number in (1, 2, 3):
            truth, found = label == number, share[image, number]
            overlap = (truth * found).sum()
            dice.append(1 - (2 * overlap + 1e-5) / (truth.sum() + found.sum() + 1e-5))
    found = LabelMapCrossEntropy()(*case).item()
    assert found == pytest.approx(np.mean(entropy), rel=1e-5)
    assert LabelMapDice()(*case).item() == pytest.approx(np.mean(dice), rel=1e-5)

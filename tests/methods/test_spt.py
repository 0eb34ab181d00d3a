"""SPT against mmsegmentation's UNet and the formula of its loss, and what it exports."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from mmseg.models.backbones import UNet
from scipy.special import expit
from torch import Tensor

from benchmark.data.views.single import SingleView
from benchmark.method import Progress
from benchmark.nn.backbones.unet import UNetEncoder
from methods.spt import SPT


@pytest.fixture
def spt(randomise) -> SPT:
    method = SPT(
        views=dict(type=SingleView, size=32),
        encoder=dict(type=UNetEncoder, base_channels=4, stages=3, img_size=32),
    )
    return randomise(method, 3)


def reference(spt: SPT) -> UNet:
    """mmsegmentation's UNet with the same weights, in double precision."""
    with DefaultScope.overwrite_default_scope("mmseg"):
        unet = UNet(
            in_channels=3,
            base_channels=4,
            num_stages=3,
            strides=(1, 1, 1),
            enc_num_convs=(2, 2, 2),
            dec_num_convs=(2, 2),
            downsamples=(True, True),
            enc_dilations=(1, 1, 1),
            dec_dilations=(1, 1),
        )
    unet.load_state_dict(spt.encoder.state_dict())
    unet.double().train()
    return unet


def frames(p: np.ndarray, anatomy: np.ndarray) -> zip:
    return zip(p.reshape(len(p), -1), anatomy.reshape(len(p), -1))


def paper_loss(features: np.ndarray, weight: np.ndarray, bias: np.ndarray, anatomy: np.ndarray):
    """0.5·BCE + 0.5·(1 − mean Dice of the frames) and the Dice of all masks, in numpy."""
    p = expit(np.einsum("bchw,c->bhw", features, weight) + bias)
    bce = -np.mean(anatomy * np.log(p) + (1 - anatomy) * np.log(1 - p))
    dice = np.mean(
        [(2 * (a @ b) + 1e-5) / (a.sum() + b.sum() + 1e-5) for a, b in frames(p, anatomy)]
    )
    found = p > 0.5
    score = (2 * (found * anatomy).sum() + 1e-5) / (found.sum() + anatomy.sum() + 1e-5)
    return 0.5 * bce, 0.5 * (1 - dice), score


def test_loss_matches_a_supervised_unet(spt: SPT, tiny_views: dict[str, Tensor]) -> None:
    terms = spt.train().loss(tiny_views, Progress())
    with torch.no_grad():
        features = reference(spt)(tiny_views["image"].double())[-1].numpy()
    weight = spt.classifier.weight.detach().double().numpy().ravel()
    bias = spt.classifier.bias.item()
    anatomy = tiny_views["anatomy"][:, 0].double().numpy()
    bce, dice, score = paper_loss(features, weight, bias, anatomy)
    assert terms["loss_bce"].item() == pytest.approx(bce, rel=1e-5)
    assert terms["loss_dice"].item() == pytest.approx(dice, rel=1e-5)
    assert terms["dice_score"].item() == pytest.approx(score, rel=1e-4)

    (terms["loss_bce"] + terms["loss_dice"]).backward()
    for channel in range(4):
        ends = []
        for step in (1e-6, -1e-6):
            moved = weight.copy()
            moved[channel] += step
            ends.append(sum(paper_loss(features, moved, bias, anatomy)[:2]))
        slope = (ends[0] - ends[1]) / 2e-6
        assert spt.classifier.weight.grad[0, channel].item() == pytest.approx(slope, rel=1e-4)
    assert all(p.grad is not None and p.grad.any() for p in spt.parameters())

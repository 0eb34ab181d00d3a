"""What VasoMIM can switch: a segmentor that learns beside it, and other objectives in one list."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from no_host_sync import NoHostSync
from scipy.special import expit
from torch import Tensor, nn

from benchmark.data.views.single import SingleView
from benchmark.method import Progress
from benchmark.nn.decoders.mae import LinearDecoder, MAEDecoder
from benchmark.nn.masking.anatomy import AnatomyGuidedMasking
from benchmark.nn.masking.blocks import BlockMasking, UnitMasking
from benchmark.nn.objectives.feature_distillation import SelfDistillation
from benchmark.nn.objectives.hog import HOGReconstruction
from benchmark.nn.objectives.pixels import AnatomyWeightedReconstruction, PixelReconstruction
from methods.mae import MAE
from methods.simmim import SimMIM
from methods.vasomim import VasoMIM

HALFWAY = Progress(epoch=4, epochs=10)


def test_joint_segmentor_learns_from_its_own_loss_only(
    vasomim: Callable[..., VasoMIM], tiny_views: dict[str, Tensor]
) -> None:
    """S gets exactly the gradient of 0.5·BCE + 0.5·(1 − Dice), none from L_rec and L_cons."""
    method = vasomim(joint=True).train()
    alone = copy.deepcopy(method.segmentor.network)
    terms = method.loss(tiny_views, HALFWAY)
    assert list(terms)[:3] == ["loss_segmentor", "loss_reconstruction", "loss_consistency"]
    sum(value for name, value in terms.items() if "loss" in name).backward()

    logits = alone(tiny_views["image"])  # in training mode: batch statistics
    target = tiny_views["anatomy"].double().numpy()
    p = expit(logits.detach().double().numpy())
    bce = -np.mean(target * np.log(p) + (1 - target) * np.log(1 - p))
    dice = (2 * (p * target).sum() + 1e-5) / (p.sum() + target.sum() + 1e-5)
    assert terms["loss_segmentor"].item() == pytest.approx(0.5 * bce + 0.5 * (1 - dice), rel=1e-5)
    truth, soft = tiny_views["anatomy"], logits.sigmoid()
    overlap = (2 * (soft * truth).sum() + 1e-5) / (soft.sum() + truth.sum() + 1e-5)
    entropy = -(truth * soft.log() + (1 - truth) * (1 - soft).log()).mean()
    (0.5 * entropy + 0.5 * (1 - overlap)).backward()
    for (name, ours), theirs in zip(
        method.segmentor.network.named_parameters(), alone.parameters()
    ):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6, msg=name)
    # Its statistics moved once, by the supervised pass.
    for ours, theirs in zip(method.segmentor.network.buffers(), alone.buffers()):
        torch.testing.assert_close(ours, theirs)
    assert method.segmentor.network.training


def test_joint_segmentor_is_frozen_for_the_model(
    vasomim: Callable[..., VasoMIM], tiny_views: dict[str, Tensor]
) -> None:
    joint = vasomim(joint=True).train()
    terms = joint.loss(tiny_views, HALFWAY)
    frozen = vasomim().train()
    # The statistics are those after the supervised pass of this step.
    frozen.segmentor.network.load_state_dict(joint.segmentor.network.state_dict())
    expected = frozen.loss(tiny_views, HALFWAY)
    assert "loss_segmentor" not in expected
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, msg=name)
    terms["loss_consistency"].backward()
    expected["loss_consistency"].backward()
    for (name, ours), theirs in zip(joint.decoder.named_parameters(), frozen.decoder.parameters()):
        if ours.requires_grad:
            torch.testing.assert_close(ours.grad, theirs.grad, msg=name)
    assert all(p.grad is None for p in joint.segmentor.parameters())


def test_a_list_of_objectives_shares_one_decoder(
    vasomim: Callable[..., VasoMIM], tiny_views: dict[str, Tensor], randomise
) -> None:
    """Pixels, histograms and the moving average: named terms, each equal to the objective alone."""
    parts = [
        dict(type=PixelReconstruction),
        dict(type=HOGReconstruction, cell=8, weight=0.5),
        dict(type=SelfDistillation, weight=0.1),
    ]
    method = vasomim(
        objective=parts, decoder=dict(type=MAEDecoder, width=16, depth=1, num_heads=2)
    ).train()
    assert method.decoder.decoder_pred.out_features == 192 + 27
    terms = method.loss(tiny_views, HALFWAY)
    names = ["loss_reconstruction", "loss_hog", "loss_distillation", "loss_consistency"]
    assert list(terms)[:4] == names

    # The first 192 outputs alone are a decoder of pixels with the same loss.
    single = vasomim(decoder=dict(type=MAEDecoder, width=16, depth=1, num_heads=2))
    state = method.decoder.state_dict()
    cut = {name: v[:192] if "decoder_pred" in name else v for name, v in state.items()}
    single.decoder.load_state_dict(cut)
    expected = single.train().loss(tiny_views, HALFWAY)
    for name in ("loss_reconstruction", "loss_consistency"):
        assert terms[name].item() == pytest.approx(expected[name].item(), rel=1e-6)

    sum(value for name, value in terms.items() if "loss" in name).backward()
    trained = {name: p for name, p in method.named_parameters() if p.requires_grad}
    assert all(p.grad is not None and p.grad.any() for p in trained.values())
    before = method.objective.parts[2].teacher.module.norm.bias.clone()
    with torch.no_grad():
        method.encoder.norm.bias.add_(1)
    method.after_step(HALFWAY)
    moved = method.objective.parts[2].teacher.module.norm.bias - before
    assert (moved > 0).all()
    assert (moved < 0.02).all()


def test_weighted_reconstruction_uses_the_guidance_of_the_method(
    vasomim: Callable[..., VasoMIM], tiny_views: dict[str, Tensor]
) -> None:
    method = vasomim(consistency=None, objective=dict(type=AnatomyWeightedReconstruction, eta=0.0))
    terms = method.loss(tiny_views, HALFWAY)
    views = {**tiny_views, "probability": method.segmentor.probability(tiny_views["image"])}
    reconstruction = method.reconstruct(views["image"], method.masking(views, HALFWAY))
    expected = method.objective(reconstruction, views, HALFWAY)
    assert torch.equal(terms["loss_reconstruction"], expected)
    assert sorted(terms) == ["loss_reconstruction", "vessel_share"]


@pytest.mark.parametrize(
    "masking",
    [
        dict(type=BlockMasking, ratio=0.5, smallest=2),
        dict(type=UnitMasking, ratio=0.5, unit=16),
        dict(type=AnatomyGuidedMasking, eta=1.0),
    ],
)
@pytest.mark.parametrize("objective", [PixelReconstruction, HOGReconstruction])
@pytest.mark.parametrize("kind", [MAE, SimMIM])
def test_masks_targets_and_models_combine(
    kind: type,
    masking: dict,
    objective: type,
    tiny_vit: nn.Module,
    tiny_views: dict[str, Tensor],
) -> None:
    """Any masking with any target in either model: MaskFeat is SimMIM with histograms.

    All trained parameters get a gradient, and the host never waits for the device.
    """
    decoder = (
        dict(type=MAEDecoder, width=16, depth=1, num_heads=2)
        if kind is MAE
        else dict(type=LinearDecoder)
    )
    method = kind(
        views=dict(type=SingleView, size=32),
        encoder=tiny_vit,
        decoder=decoder,
        masking=masking,
        objective=dict(type=objective),
    )
    views = {key: tiny_views[key] for key in ("image", "anatomy", "index")}
    with NoHostSync():
        method.loss(views, HALFWAY)["loss_reconstruction"].backward()
    trained = {name: p for name, p in method.named_parameters() if p.requires_grad}
    assert not [name for name, p in trained.items() if p.grad is None or not p.grad.any()]

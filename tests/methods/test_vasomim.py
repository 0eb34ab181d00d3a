"""VasoMIM against its formula in double precision, and what its segmentor must not do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import Tensor, nn

from benchmark.method import Progress
from benchmark.nn.objectives.anatomical_consistency import AnatomicalConsistency
from methods.mae import MAE
from methods.vasomim import VasoMIM

Factory = Callable[..., VasoMIM]
# Half of the run: β = 0.5 · (4 + 1) / 10 = 0.25, two guided patches of the eight masked ones.
HALFWAY = Progress(epoch=4, epochs=10)


def masked_patches(guidance: np.ndarray, noise: np.ndarray, race: np.ndarray) -> list[int]:
    """Two patches by an exponential race over f, six more by the highest noise of the others."""
    shares = guidance.reshape(4, 8, 4, 8).sum(axis=(1, 3)).ravel()
    arrivals = {i: -np.log(race[i]) / share for i, share in enumerate(shares) if share > 0}
    guided = sorted(arrivals, key=arrivals.get)[:2]
    others = [patch for patch in np.argsort(noise)[::-1].tolist() if patch not in guided]
    return guided + others[: 8 - len(guided)]


@torch.no_grad()
@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_losses_match_the_paper(
    vasomim: Factory, paper_mae: type, tiny_views: dict[str, Tensor], eta: float
) -> None:
    """Guided mask, L_rec and L_cons from given noise; S itself runs in double precision."""
    method = vasomim(dict(eta=eta)).train()
    paper = paper_mae(method)
    segmentor = method.segmentor
    terms = method.loss(tiny_views, HALFWAY)

    segmentor.double()
    losses, entropies, vessels = [], [], 0
    for sample in range(4):
        image = tiny_views["image"][sample].double()
        anatomy = tiny_views["anatomy"][sample, 0].double().numpy()
        target = expit(segmentor(image[None])[0, 0].numpy())
        masked = masked_patches(
            eta * anatomy + (1 - eta) * target,
            tiny_views["mask_noise"][sample].numpy(),
            tiny_views["guide_noise"][sample].numpy(),
        )
        # Visible tokens are a set: their order does not matter.
        visible = [patch for patch in range(16) if patch not in masked]
        prediction = paper.predict(image.numpy(), visible)
        loss, picture = paper.reconstruct(image.numpy(), prediction, masked)
        losses.append(loss)
        seen = expit(segmentor(torch.from_numpy(picture)[None])[0, 0].numpy())
        entropies.append(-np.mean(target * np.log(seen) + (1 - target) * np.log(1 - seen)))
        vessel = anatomy.reshape(4, 8, 4, 8).max(axis=(1, 3)).ravel()
        vessels += vessel[masked].sum()
    assert terms["loss_reconstruction"].item() == pytest.approx(np.mean(losses), rel=1e-5)
    assert terms["loss_consistency"].item() == pytest.approx(np.mean(entropies), rel=1e-4)
    assert terms["vessel_share"].item() == pytest.approx(vessels / 32, rel=1e-6)


def test_without_its_additions_it_is_mae(
    vasomim: Factory, mae: MAE, tiny_views: dict[str, Tensor]
) -> None:
    """Without guidance (β = 0) and consistency: loss and gradients of MAE with the same mask."""
    method = vasomim(dict(eta=1.0, ratio=0.75, beta_start=0.0, beta_end=0.0), consistency=None)
    terms = method.loss(tiny_views, HALFWAY)
    expected = mae.loss(tiny_views, HALFWAY)
    assert sorted(terms) == sorted(expected) == ["loss_reconstruction", "vessel_share"]
    assert all(torch.equal(terms[name], expected[name]) for name in terms)


@pytest.mark.parametrize("metric", ["ce", "l1", "dice"])
def test_consistency_trains_encoder_and_decoder_only(
    vasomim: Factory, tiny_views: dict[str, Tensor], metric: str
) -> None:
    method = vasomim(consistency=dict(type=AnatomicalConsistency, metric=metric)).train()
    method.loss(tiny_views, HALFWAY)["loss_consistency"].backward()
    reached = {name for name, p in method.named_parameters() if p.grad is not None}
    assert not {name for name in reached if name.startswith("segmentor.")}
    fixed = {"encoder.pos_embed", "decoder.decoder_pos_embed"}
    trained = {name for name, p in method.named_parameters() if p.requires_grad}
    assert reached == trained
    names = {name for name, _ in method.named_parameters()}
    assert names - trained == fixed | {name for name in names if name.startswith("segmentor.")}
    for part in (method.encoder, method.decoder):
        norm = sum(p.grad.square().sum() for p in part.parameters() if p.grad is not None)
        assert norm > 0


def test_training_leaves_the_segmentor_alone(
    vasomim: Factory, tiny_views: dict[str, Tensor]
) -> None:
    """S is bit-identical after steps on all parameters, its statistics included."""
    method = vasomim().train()
    before = {name: tensor.clone() for name, tensor in method.segmentor.state_dict().items()}
    optimizer = torch.optim.AdamW(method.parameters(), lr=3e-3, weight_decay=0.0)
    for _ in range(2):
        sum(v for k, v in method.loss(tiny_views, HALFWAY).items() if "loss" in k).backward()
        optimizer.step()
    after = method.segmentor.state_dict()
    assert any(name.endswith("running_mean") for name in after)
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not method.segmentor.network.training


def test_released_code_reinitialises_linear_layers_and_norms_of_the_segmentor(
    vasomim: Factory, tiny_views: dict[str, Tensor]
) -> None:
    """36 of 101 tensors: Xavier-uniform weights, biases 0, LayerNorms 1 and 0; still frozen.

    By default all are those that were loaded. Encoder and decoder start the same in both.
    """
    default, official = vasomim(), vasomim(official_code=True)
    loaded, found = (m.segmentor.network.state_dict() for m in (default, official))
    changed = {name for name in loaded if not torch.equal(loaded[name], found[name])}
    layers = {
        f"{name}.{kind}": (module, kind)
        for name, module in official.segmentor.network.named_modules()
        if isinstance(module, (nn.Linear, nn.LayerNorm))
        for kind in ("weight", "bias")
    }
    assert changed == set(layers)
    assert (len(changed), len(loaded)) == (36, 101)
    for module, kind in layers.values():
        tensor = getattr(module, kind)
        if kind == "bias":
            assert not tensor.any()
        elif isinstance(module, nn.LayerNorm):
            assert tensor.unique().tolist() == [1]
        else:
            bound = (6 / sum(tensor.shape)) ** 0.5
            assert 0.98 * bound < tensor.abs().max() <= bound
    for part in ("encoder", "decoder"):
        ours, theirs = (getattr(m, part).state_dict() for m in (default, official))
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert not any(p.requires_grad for p in official.segmentor.parameters())
    maps = [m.segmentor.probability(tiny_views["image"]) for m in (default, official)]
    assert not torch.allclose(*maps, atol=0.01)

"""AMT against its formulas in double precision: attention, throwing, and the table over a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from finite_differences import assert_slopes
from no_host_sync import NoHostSync
from numpy_vit import (
    double_weights,
    layer_norm,
    linear,
    patch_tokens,
    to_patches,
    vit_layers,
)
from scipy.special import softmax
from torch import Tensor

from benchmark.checks.contract import prepare
from benchmark.data.views.attention import AttentionView
from benchmark.method import Progress
from benchmark.nn.masking.attention import AttentionGuidedMasking
from benchmark.nn.objectives.pixels import PixelReconstruction
from benchmark.training.config import fill_paths, load_config
from benchmark.training.train import assemble
from methods.amt import AMT
from methods.mae import MAE

ROOT = Path(__file__).resolve().parents[2]
LATER = Progress(epoch=9, epochs=20)


@pytest.fixture
def amt(tiny_vit, tiny_decoder) -> AMT:
    """16 patches: 7 masked, 6 thrown, 3 visible, after a warm-up of four epochs."""
    method = AMT(
        views=dict(type=AttentionView, size=32),
        encoder=tiny_vit,
        decoder=tiny_decoder,
        masking=dict(type=AttentionGuidedMasking, warmup_epochs=4, interval=4),
        objective=dict(type=PixelReconstruction, normalise=False),
        refresh_batch=4,
    )
    method.prepare(10)
    return method


@pytest.fixture
def views(tiny_views: dict[str, Tensor]) -> dict[str, Tensor]:
    """Attention for every pixel, and one patch that gets none at all."""
    attention = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(5))
    attention[1, :, :8, 8:16] = 0
    return {**tiny_views, "attention": attention}


def draw(views: dict[str, Tensor], sample: int) -> tuple[list[int], list[int], list[int]]:
    """Masked, thrown and visible patches: the order of an exponential race over the attention."""
    attention = views["attention"][sample, 0].double().numpy()
    shares = attention.reshape(4, 8, 4, 8).sum(axis=(1, 3)).ravel()
    noise = views["guide_noise"][sample].double().numpy()
    arrival = [-np.log(u) / share if share else np.inf for u, share in zip(noise, shares)]
    order = np.argsort(arrival, kind="stable").tolist()
    return order[:7], order[7:13], order[13:]


def paper_loss(paper: Any, views: dict[str, Tensor]) -> tuple[float, float]:
    """Squared error of the masked patches, and the share of vessel patches among them."""
    errors, vessels = [], 0
    for sample, image in enumerate(views["image"].double().numpy()):
        masked, _, visible = draw(views, sample)
        # Thrown patches are in neither sequence.
        found = paper.predict(image, visible, masked + visible)[: len(masked)]
        errors.append(((found - to_patches(image, 8)[masked]) ** 2).mean())
        anatomy = views["anatomy"][sample, 0].numpy().reshape(4, 8, 4, 8).max(axis=(1, 3)).ravel()
        vessels += anatomy[masked].sum()
    return float(np.mean(errors)), vessels / 28


def test_loss_and_gradient_match_the_paper(
    amt: AMT, paper_mae: type, views: dict[str, Tensor]
) -> None:
    terms = amt.loss(views, LATER)
    paper = paper_mae(amt)
    loss, share = paper_loss(paper, views)
    assert terms["loss_reconstruction"].item() == pytest.approx(loss, rel=1e-5)
    assert terms["vessel_share"].item() == pytest.approx(share, rel=1e-6)

    terms["loss_reconstruction"].backward()
    places = [
        (amt.encoder, paper.encoder, "cls_token", (0, 0, 5)),
        (amt.encoder, paper.encoder, "blocks.0.attn.qkv.weight", (40, 3)),
        (amt.decoder, paper.decoder, "mask_token", (0, 0, 2)),
        (amt.decoder, paper.decoder, "decoder_blocks.1.mlp.fc1.weight", (9, 4)),
        (amt.decoder, paper.decoder, "decoder_pred.weight", (9, 4)),
    ]
    assert_slopes(lambda: paper_loss(paper, views)[0], places)


def test_thrown_patches_have_no_effect(amt: AMT, views: dict[str, Tensor]) -> None:
    thrown = torch.zeros(4, 16)
    for sample in range(4):
        thrown[sample, draw(views, sample)[1]] = 1
    mask = amt.masking(views, LATER)
    before = amt.reconstruct(views["image"], mask).prediction
    assert not before[thrown.bool()].any()
    assert before[~thrown.bool()].any(dim=-1).all()
    pixels = thrown.unflatten(1, (1, 4, 4)).repeat_interleave(8, 2).repeat_interleave(8, 3)
    changed = {**views, "image": views["image"] + 3 * pixels}
    assert torch.equal(amt.reconstruct(changed["image"], mask).prediction, before)
    losses = [amt.loss(v, LATER)["loss_reconstruction"] for v in (views, changed)]
    assert torch.equal(*losses)


def test_warm_up_is_mae(amt: AMT, mae: MAE, tiny_views: dict[str, Tensor]) -> None:
    """Up to and with epoch 4 the loss is that of MAE at 75 %, and no attention is needed."""
    mae.objective = amt.objective
    for epoch in (0, 4):
        progress = Progress(epoch=epoch, epochs=20)
        assert torch.equal(
            amt.loss(tiny_views, progress)["loss_reconstruction"],
            mae.loss(tiny_views, progress)["loss_reconstruction"],
        )
    with pytest.raises(KeyError, match="attention"):
        amt.loss(tiny_views, Progress(epoch=5, epochs=20))


@torch.no_grad()
def test_attention_maps_match_the_last_block(amt: AMT, tiny_views: dict[str, Tensor]) -> None:
    maps = amt.attention_maps(tiny_views["image"])
    weights = double_weights(amt.encoder)
    for sample in range(4):
        tokens = patch_tokens(tiny_views["image"][sample].double().numpy(), weights)
        x = layer_norm(vit_layers(tokens, weights)[1], weights, "blocks.1.norm1")
        query, key, _ = np.split(linear(x, weights, "blocks.1.attn.qkv"), 3, axis=1)
        heads = []
        for head in range(4):
            part = slice(8 * head, 8 * head + 8)
            row = softmax(query[0, part] @ key[:, part].T / np.sqrt(8))[1:]
            row = row - row.min()
            heads.append(row / row.max())
        expected = np.mean(heads, axis=0).reshape(4, 4)
        np.testing.assert_allclose(maps[sample].numpy(), expected, rtol=0, atol=2e-5)


class Frames:
    """Ten frames of 32²: what a dataset is to a method."""

    def __init__(self) -> None:
        rng = np.random.default_rng(2)
        self.frames = torch.from_numpy(rng.integers(0, 256, (10, 32, 32), dtype=np.uint8))
        self.asked: list[list[int]] = []

    def __len__(self) -> int:
        return len(self.frames)

    def __getitems__(self, indices: list[int]) -> dict[str, Tensor]:
        self.asked.append(indices)
        valid = torch.tensor([[32, 32], [32, 24]] * 5)[indices]
        return {"frame": self.frames[indices], "valid": valid, "index": torch.tensor(indices)}


def test_refresh_covers_every_frame(amt: AMT, monkeypatch: pytest.MonkeyPatch) -> None:
    """After epochs 4, 8, …; the table holds the map of each whole frame; two processes, one table.

    Each process computes every other batch; added up they give what one computes alone.
    """
    amt.train()
    frames = Frames()
    before = [p.clone() for p in amt.parameters()]
    for epoch in (0, 4, 6):
        amt.before_epoch(Progress(epoch=epoch, epochs=20), frames)
        assert not frames.asked
    amt.before_epoch(Progress(epoch=5, epochs=20), frames)
    assert frames.asked == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert amt.training
    assert amt.encoder.training
    table = amt.views.attention.clone()
    with torch.no_grad():
        one = amt.views.full_frames(frames.__getitems__([7]))
        torch.testing.assert_close(table[7], amt.attention_maps(one)[0], rtol=0, atol=1e-5)
    assert all(torch.equal(a, b) for a, b in zip(before, amt.parameters()))

    parts = []
    monkeypatch.setattr("methods.amt.get_world_size", lambda: 2)
    monkeypatch.setattr("methods.amt.all_reduce", lambda tensor: parts.append(tensor.clone()))
    for rank in (0, 1):
        monkeypatch.setattr("methods.amt.get_rank", lambda rank=rank: rank)
        amt.refresh(frames)
    assert torch.equal(parts[0] + parts[1], table)
    assert not (parts[0].flatten(1).any(dim=1) & parts[1].flatten(1).any(dim=1)).any()


def test_maps_of_a_subset_belong_to_its_frames(amt: AMT) -> None:
    """Frames of a subset keep their numbers, by which the table is indexed."""

    class Subset(Frames):
        def __len__(self) -> int:
            return 3

        def __getitems__(self, indices: list[int]) -> dict[str, Tensor]:
            return super().__getitems__([[2, 5, 9][index] for index in indices])

    amt.refresh(Frames())
    complete = amt.views.attention.clone()
    amt.refresh(Subset())
    torch.testing.assert_close(amt.views.attention[[2, 5, 9]], complete[[2, 5, 9]])
    assert not amt.views.attention[[0, 1, 3, 4, 6, 7, 8]].any()


@pytest.fixture(scope="module")
def config_in(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Any]:
    """AMT's own config on 14 frames: three short epochs, the table written before the last two."""
    work = tmp_path_factory.mktemp("amt")

    def make() -> Any:
        options = ["method.masking.warmup_epochs=0", "method.masking.interval=1"]
        options += ["method.encoder.depth=2", "method.encoder.embed_dim=48"]
        config = load_config(ROOT / "configs" / "amt" / "pretrain.py", "tiny", options)
        fill_paths(config, work)
        prepare(config, work)
        config.epochs = 3
        return config

    return make


def test_the_number_of_frames_comes_from_the_packs(config_in: Callable[[], Any]) -> None:
    method = assemble(config_in()).method
    assert method.views.attention.shape == (14, 12, 12)
    alone = AMT(**{key: value for key, value in config_in().method.items() if key != "type"})
    assert len(alone.views.attention) == 0
    alone.load_state_dict(method.state_dict())
    assert torch.equal(alone.views.attention, method.views.attention)


def test_guided_step_trains_everything_without_a_sync(amt: AMT, views: dict[str, Tensor]) -> None:
    with NoHostSync():
        amt.loss(views, LATER)["loss_reconstruction"].backward()
    without = {name for name, p in amt.named_parameters() if p.grad is None or not p.grad.any()}
    assert without == {"encoder.pos_embed", "decoder.decoder_pos_embed"}

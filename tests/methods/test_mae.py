"""MAE against its formula in double precision, and what it trains."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from official_shapes import encoder, load_official, mae_decoder
from torch import Tensor

from benchmark.data.views.single import SingleView
from benchmark.method import Progress
from benchmark.nn.decoders.mae import MAEDecoder
from benchmark.nn.masking.random import RandomMasking
from benchmark.nn.objectives.pixels import PixelReconstruction
from benchmark.nn.vit import VisionTransformer
from methods.mae import MAE, OFFICIAL_NAMES


@torch.no_grad()
def test_loss_matches_the_paper(mae: MAE, paper_mae: type, tiny_views: dict[str, Tensor]) -> None:
    paper = paper_mae(mae)
    losses, vessels = [], 0
    for sample in range(4):
        order = np.argsort(tiny_views["mask_noise"][sample].numpy())
        visible, masked = order[:4].tolist(), order[4:].tolist()
        image = tiny_views["image"][sample].double().numpy()
        prediction = paper.predict(image, visible)
        losses.append(paper.reconstruct(image, prediction, masked)[0])
        for patch in masked:
            top, left = patch // 4 * 8, patch % 4 * 8
            vessels += bool(tiny_views["anatomy"][sample, 0, top : top + 8, left : left + 8].any())
    terms = mae.loss(tiny_views, Progress())
    # Every sample hides the same number of patches, so the mean over samples is that over patches.
    assert terms["loss_reconstruction"].item() == pytest.approx(np.mean(losses), rel=1e-5)
    assert terms["vessel_share"].item() == pytest.approx(vessels / 48, rel=1e-6)


def test_anatomy_is_only_reported(mae: MAE, tiny_views: dict[str, Tensor]) -> None:
    with_anatomy = mae.loss(tiny_views, Progress())
    del tiny_views["anatomy"]
    terms = mae.loss(tiny_views, Progress())
    assert list(terms) == ["loss_reconstruction"]
    assert torch.equal(terms["loss_reconstruction"], with_anatomy["loss_reconstruction"])


def test_parts_infer_their_sizes_from_the_encoder() -> None:
    mae = MAE(
        views=dict(type=SingleView, size=24),
        encoder=VisionTransformer(24, 4, 16, depth=1, num_heads=2, class_token=False),
        decoder=dict(type=MAEDecoder, width=8, depth=1, num_heads=2),
        masking=dict(type=RandomMasking, ratio=0.75),
        objective=dict(type=PixelReconstruction, normalise=False),
    )
    assert mae.decoder.decoder_embed.in_features == 16
    assert mae.decoder.decoder_pos_embed.shape == (1, 36, 8)
    assert mae.decoder.decoder_pred.out_features == 4 * 4 * 3
    assert mae.masking.keep == 9
    assert mae.exports() == {"encoder": mae.encoder}


def test_step_from_frames_to_loss(mae: MAE) -> None:
    rng = np.random.default_rng(0)
    batch = {
        "frame": torch.from_numpy(rng.integers(0, 256, (4, 64, 64), dtype=np.uint8)),
        "valid": torch.tensor([[64, 64], [50, 64], [64, 40], [64, 64]]),
        "index": torch.arange(4),
    }

    def loss(epoch: int) -> float:
        mae.progress = Progress(seed=2, epoch=epoch, epochs=5)
        views = mae.data_preprocessor(batch)["views"]
        # What the trainer calls, through mmengine's forward.
        return mae(views, mode="loss")["loss_reconstruction"].item()

    first = loss(0)
    assert loss(1) != first
    assert loss(0) == first
    with pytest.raises(ValueError, match="no mode 'predict'"):
        mae({}, mode="predict")


def test_official_checkpoint_fits(mae: MAE) -> None:
    load_official(mae, encoder(32, 2, 16, 8) | mae_decoder(32, 16, 2, 16, 8), OFFICIAL_NAMES)

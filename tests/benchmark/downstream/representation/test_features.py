"""Which patches are vessel, which are sampled, and that features are those of timm's network."""

from __future__ import annotations

from itertools import product

import cv2
import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file

from benchmark.data.views.imagenet import IMAGENET_MEAN, IMAGENET_STD
from benchmark.downstream.frozen import encoded
from benchmark.downstream.representation.features import (
    extract_features,
    label_patches,
    sample_patches,
)
from benchmark.encoders.encoder import export_encoder, load_encoder
from benchmark.errors import InputError


def test_a_patch_with_enough_pixels_of_the_mask_is_vessel():
    mask = np.zeros((6, 9), dtype=bool)
    mask[0, 0] = True  # one pixel in the corner of patch (0, 0)
    mask[2, 3:6] = True  # three in patch (0, 1)
    mask[3:, 8] = True  # three in patch (1, 2)
    expected = [[True, True, False], [False, False, True]]
    assert label_patches(mask, 3, 1).tolist() == expected
    assert label_patches(mask, 3, 3).tolist() == [[False, True, False], [False, False, True]]
    assert not label_patches(mask, 3, 4).any()


def test_all_patches_are_taken_or_as_many_as_asked_for_anywhere():
    assert sample_patches(7, 7, seed=0).tolist() == list(range(7))
    chosen = sample_patches(100_000, 10_000, seed=3)
    assert np.array_equal(np.unique(chosen), chosen), "sorted, each once"
    assert len(chosen) == 10_000
    # Uniform: every tenth of the patches has a tenth of them, within five standard deviations.
    assert np.all(np.abs(np.bincount(chosen // 10_000) - 1000) < 5 * np.sqrt(900))
    assert np.array_equal(chosen, sample_patches(100_000, 10_000, seed=3))
    assert not np.array_equal(chosen, sample_patches(100_000, 10_000, seed=4))


def by_hand(encoder, vessels, side=64, patch=8, normalisation=(IMAGENET_MEAN, IMAGENET_STD)):
    """Features and labels of all patches of the training frames, without this project's code."""
    vit = timm.create_model(
        "vit_tiny_patch16_224",
        img_size=side,
        patch_size=patch,
        embed_dim=32,
        depth=2,
        num_heads=2,
        num_classes=0,
        global_pool="",
    ).eval()
    vit.load_state_dict(load_file(encoder / "encoder.safetensors"))
    features, vessel = [], []
    for item in vessels.splits["train"]:
        frame = np.array(Image.open(vessels.image("train", item["stem"])))
        mask = np.array(Image.open(vessels.mask("train", item["stem"])))
        pixels = torch.from_numpy(cv2.resize(frame, (side, side)))[None, None] / 255
        mean, std = (torch.tensor(v)[None, :, None, None] for v in normalisation)
        with torch.no_grad():
            tokens = vit((pixels.expand(-1, 3, -1, -1) - mean) / std)
        features.append(tokens[0, 1:].numpy())
        # The nearest pixel of the frame, rounded down, as OpenCV has it.
        rows, columns = (np.arange(side) * length // side for length in mask.shape)
        small = mask[rows][:, columns] > 0
        places = product(range(0, side, patch), repeat=2)
        vessel += [small[top : top + patch, left : left + patch].any() for top, left in places]
    return np.concatenate(features), np.array(vessel)


def test_features_and_labels_are_those_computed_by_hand(make_cell, encoder, vessels):
    found, card = extract_features(make_cell().config, vessels)
    features, vessel = by_hand(encoder, vessels)
    assert found.features.shape == (4 * 64, 32)
    assert np.array_equal(found.vessel, vessel)
    assert np.array_equal(found.frame, np.repeat(range(4), 64))
    assert 0 < vessel.mean() < 1
    assert np.abs(found.features - features).max() < 1e-4
    assert card.num_prefix_tokens == 1


def test_frames_are_normalised_as_the_encoder_was_trained(make_cell, encoder, vessels, tmp_path):
    normalisation = ((0.2, 0.3, 0.4), (0.5, 0.6, 0.7))
    export_encoder(tmp_path / "own", load_encoder(encoder)[0], {}, *normalisation)
    cell = make_cell()
    cell.config.model.backbone.folder = str(tmp_path / "own")
    found, _ = extract_features(cell.config, vessels)
    features, _ = by_hand(tmp_path / "own", vessels, normalisation=normalisation)
    assert np.abs(found.features - features).max() < 1e-4
    usual, _ = by_hand(encoder, vessels)
    assert np.abs(usual - features).max() > 0.1


def test_nothing_is_dropped_at_random(make_cell, encoder, vessels, monkeypatch):
    """The encoder is in evaluation mode, in whichever mode it is loaded."""

    def load(folder):
        vit, card = load_encoder(folder, drop_path=0.9)
        return vit.train(), card

    monkeypatch.setattr(encoded, "load_encoder", load)
    found, _ = extract_features(make_cell().config, vessels)
    features, _ = by_hand(encoder, vessels)
    assert np.abs(found.features - features).max() < 1e-4


def test_sampled_patches_are_those_of_all(make_cell, vessels):
    """Whatever the batch, and no more than were asked for are ever held."""
    everything, _ = extract_features(make_cell().config, vessels)
    config = make_cell("patches=50", "micro_batch=3", seed=2).config
    some, _ = extract_features(config, vessels)
    chosen = sample_patches(256, 50, seed=2)
    assert some.features.shape == (50, 32)
    assert some.features.base is None
    assert np.allclose(some.features, everything.features[chosen], atol=1e-5)
    assert np.array_equal(some.vessel, everything.vessel[chosen])
    assert np.array_equal(some.frame, chosen // 64)


def test_every_kind_of_encoder_has_patches(make_cell, make_encoder, kind, vessels, tmp_path):
    """A convolutional network those of its coarsest map."""
    export_encoder(tmp_path / "encoder", make_encoder(kind), {})
    cell = make_cell(f"vessel_pixels={60 if kind.startswith('resnet') else 1}")
    cell.config.model.backbone.folder = str(tmp_path / "encoder")
    found, card = extract_features(cell.config, vessels)
    assert len(found.features) == 4 * (64 // card.strides[-1]) ** 2
    assert found.features.shape[1] == card.widths[-1]


def test_what_cannot_be_compared_is_refused(make_cell, vessels):
    with pytest.raises(InputError, match=r"all 256 patches of split 'train' are background"):
        extract_features(make_cell("vessel_pixels=65").config, vessels)
    with pytest.raises(InputError, match=r"has no split 'val', only"):
        extract_features(make_cell("split=val").config, vessels)
    with pytest.raises(InputError, match=r"image size 60 is no multiple of the patch size 8"):
        extract_features(make_cell("test_pipeline.1.scale=(60,60)").config, vessels)

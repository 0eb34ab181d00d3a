"""Nearest neighbours are those of scikit-learn; labels at random give chance."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from sklearn.neighbors import KNeighborsClassifier

from benchmark.downstream.frozen import knn
from benchmark.downstream.frozen.features import FeatureCache
from benchmark.downstream.frozen.knn import knn_definitions, knn_shares, score_knn
from benchmark.errors import InputError


def classifier(neighbours, temperature):
    """Scikit-learn's, on cosine distances d = 1 − similarity."""
    return KNeighborsClassifier(
        neighbours,
        weights=lambda distances: np.exp((1 - distances) / temperature),
        metric="cosine",
        algorithm="brute",
    )


@pytest.mark.parametrize(("neighbours", "temperature"), [(1, 0.07), (20, 0.07), (7, 1.0)])
def test_shares_are_those_of_scikit_learns_classifier(neighbours, temperature, monkeypatch):
    rng = np.random.default_rng(0)
    vessel = rng.random(300) < 0.3
    bank = (rng.normal(0, 1, (300, 8)) + vessel[:, None]).astype(np.float32)
    queries = rng.normal(0.3, 2, (150, 8)).astype(np.float32)
    model = classifier(neighbours, temperature).fit(bank.astype(float), vessel)
    expected = model.predict_proba(queries.astype(float))[:, 1]
    monkeypatch.setattr(knn, "_SIMILARITIES", 300 * 40)  # four chunks
    found = knn_shares(
        *(torch.from_numpy(part) for part in (bank, vessel, queries)), neighbours, temperature
    )
    assert np.abs(found.numpy() - expected).max() < 1e-5
    assert np.array_equal(found.numpy() > 0.5, model.predict(queries.astype(float)))


def test_a_small_bank_votes_as_a_whole():
    bank, vessel = torch.eye(3), torch.tensor([True, False, False])
    found = knn_shares(bank, vessel, torch.tensor([[1.0, 1.0, 0.0]]), 20, 1.0)
    near, far = np.exp(np.sqrt(0.5)), 1.0
    assert found.tolist() == pytest.approx([near / (2 * near + far)])


def test_at_a_temperature_near_zero_the_nearest_patch_decides():
    bank, vessel = torch.eye(3), torch.tensor([True, False, False])
    queries = torch.tensor([[2.0, 1.0, 0.0], [1.0, 2.0, 0.0]])
    assert knn_shares(bank, vessel, queries, 3, 1e-46).tolist() == [1, 0]


def patches(cache, split):
    """Features and labels of all patches of 8² of a split, frame by frame."""
    found = cache.load(split)
    vessel = found.truth.reshape(len(found.truth), 8, 8, 8, 8).any(axis=(2, 4))
    return found.features.reshape(-1, 32).astype(float), vessel.reshape(len(vessel), -1)


def test_scores_of_a_task_are_scikit_learns(make_cell, vessels, features):
    config = make_cell("knn").config
    cache = FeatureCache(config, vessels, features)
    found, scores = score_knn(cache, config, seed=0)
    bank, vessel = patches(cache, "train")
    queries, labels = patches(cache, "test")
    model = classifier(5, 0.07).fit(bank, vessel.ravel())
    shares = model.predict_proba(queries)[:, 1]
    assert found["patch_ap"] == pytest.approx(100 * average_precision_score(labels.ravel(), shares))
    constant = average_precision_score(labels.ravel(), np.ones(labels.size))
    assert found["patch_chance"] == pytest.approx(100 * constant), "of features that say nothing"
    predicted = model.predict(queries).reshape(labels.shape)
    overlap, total = (predicted & labels).sum(1), predicted.sum(1) + labels.sum(1)
    assert list(scores["patch_dsc"]) == pytest.approx(list(200 * overlap / total))
    assert found["patch_dsc"] == pytest.approx((200 * overlap / total).mean())
    each = [
        100 * average_precision_score(one, share)
        for one, share in zip(labels, shares.reshape(labels.shape))
    ]
    assert list(scores["patch_ap"]) == pytest.approx(each)
    assert list(scores["vessel_patches"]) == list(labels.sum(1))
    assert list(scores["background_patches"]) == list((~labels).sum(1))
    assert list(scores["image"]) == [item["stem"] for item in vessels.splits["test"]]
    assert found == score_knn(cache, config, seed=1)[0], "all patches: nothing is drawn"


def test_a_larger_bank_is_sampled_by_the_seed(make_cell, vessels, features):
    config = make_cell("knn", "patches=100").config
    cache = FeatureCache(config, vessels, features)
    first = score_knn(cache, config, seed=0)[0]
    assert score_knn(cache, config, seed=0)[0] == first
    assert score_knn(cache, config, seed=1)[0] != first
    bank, vessel = knn._bank(cache, config, seed=0)
    every, labels = patches(cache, "train")
    chosen = knn.sample_patches(4 * 64, 100, 0)
    assert np.allclose(bank.numpy(), every[chosen])
    assert np.array_equal(vessel.numpy(), labels.ravel()[chosen])
    half = make_cell("knn", "label_fraction=0.5").config
    assert len(knn._bank(cache, half, seed=0)[0]) == 2 * 64


def test_labels_at_random_give_chance():
    """Average precision is the share of vessel, within four standard errors."""
    rng = np.random.default_rng(0)
    vessel, labels = rng.random(4000) < 0.25, rng.random(4000) < 0.25
    bank, queries = torch.randn(4000, 16), torch.randn(4000, 16)
    shares = knn_shares(bank, torch.from_numpy(vessel), queries, 20, 0.07).numpy()
    chance = labels.mean()
    error = np.sqrt(chance * (1 - chance) / labels.sum())
    assert average_precision_score(labels, shares) == pytest.approx(chance, abs=4 * error)


def test_maps_of_other_strides_are_resized_to_the_patches(make_cell, vessels, features):
    """All encoders are asked about the same patches, whatever theirs are."""
    config = make_cell("knn", "patch=16").config
    cache = FeatureCache(config, vessels, features)
    _, scores = score_knn(cache, config, seed=0)
    assert list(scores["vessel_patches"] + scores["background_patches"]) == [16, 16]
    bank, _ = knn._bank(cache, config, seed=0)
    assert bank.shape == (4 * 16, 32)
    coarse = make_cell("knn", "patch=24").config
    with pytest.raises(InputError, match="patch=24: does not divide the image size 64"):
        score_knn(cache, coarse, seed=0)


def test_patches_of_one_class_are_refused(make_cell, vessels, features):
    config = make_cell("knn", "vessel_pixels=65").config
    with pytest.raises(InputError, match="all 256 patches of split 'train' are background"):
        score_knn(FeatureCache(config, vessels, features), config, seed=0)


def test_definitions_hold_every_setting_that_moves_a_value(make_cell):
    usual = knn_definitions(make_cell("knn").config)
    assert usual["patch_ap"] == (
        "average-precision/vessel-patches/pooled/knn-cosine-k5-t0.07/1px-64x64-patch8-max200000/v1"
    )
    assert knn_definitions(make_cell("knn", "micro_batch=3").config) == usual
    for option in ("neighbours=10", "temperature=0.1", "patch=16", "vessel_pixels=2", "patches=9"):
        other = knn_definitions(make_cell("knn", option).config)
        assert all(other[name] != usual[name] for name in ("patch_ap", "patch_dsc"))

"""The linear segmentor is a logistic regression of pixels on up-sampled features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from benchmark.downstream.frozen.features import FeatureCache, FrameFeatures, labelled_frames
from benchmark.downstream.frozen.linear import (
    build_linear,
    fit_linear,
    linear_loss,
    score_linear,
    score_patches,
    train_linear,
)
from benchmark.downstream.segmentation.metrics import dice_of_counts
from benchmark.downstream.segmentation.model import BinaryCrossEntropy
from benchmark.downstream.task import load_task
from benchmark.errors import InputError

ALL = np.arange(6)


@pytest.fixture
def frames():
    """Six frames of 24², whose masks depend on maps of 6×6 and 5 features, and on noise."""
    rng = np.random.default_rng(0)
    features = (rng.normal(0, 1, (6, 6, 6, 5)) * [1, 3, 0.2, 1, 10] + [0, 5, 0, -1, 0]).astype("f4")
    logits = up_sampled(features) @ [1.5, -0.5, 4.0, 0.0, 0.1] + 2.5
    masks = logits + 0.5 * rng.logistic(size=logits.shape) > 0
    return FrameFeatures(features, masks.astype(np.int32), parameters=0)


def up_sampled(features, side=24):
    """N×h×w×D to N×side×side×D, bilinear."""
    maps = torch.from_numpy(features).permute(0, 3, 1, 2)
    shown = F.interpolate(maps, (side, side), mode="bilinear", align_corners=False)
    return shown.permute(0, 2, 3, 1).numpy().astype(np.float64)


def logits_of(model, features):
    """The logits of frames at network size."""
    model.eval()
    with torch.no_grad():
        maps = torch.from_numpy(features).permute(0, 3, 1, 2)
        return F.interpolate(model.decode_head((maps,)), 24, mode="bilinear")[:, 0].numpy()


def dice(prediction, truth):
    return 100 * dice_of_counts((prediction & truth).sum(), prediction.sum() + truth.sum())


def test_unregularised_it_is_scikit_learns_logistic_regression(make_cell, frames):
    """Up-sampling and batch norm are linear: the loss is convex, and its minimum that of pixels."""
    config = make_cell("linear", "steps=800", "batch_size=6", "base_lr=0.1").config
    config.optimizer.weight_decay, config.losses = 0.0, [dict(type=BinaryCrossEntropy)]
    model = build_linear(config, width=5, classes=1, seed=0)
    fit_linear(model, config, [frames], ALL, seed=0)
    pixels, truth = up_sampled(frames.features).reshape(-1, 5), frames.truth > 0
    scale = pixels.std(axis=0)
    regression = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000)
    regression.fit(pixels / scale, truth.ravel())
    expected = regression.decision_function(pixels / scale).reshape(truth.shape)
    found = logits_of(model, frames.features)
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()
    assert 70 < dice(expected > 0, truth) < 99
    assert dice(found > 0, truth) == pytest.approx(dice(expected > 0, truth), abs=0.5)
    assert (found > 0).mean() == pytest.approx((expected > 0).mean(), abs=0.005)


def test_the_loss_is_that_of_fine_tuning_at_the_size_of_the_network(make_cell, frames):
    """BCE + Dice of up-sampled logits, written out."""
    model = build_linear(make_cell("linear").config, width=5, classes=1, seed=0)
    maps = torch.from_numpy(frames.features[:2]).permute(0, 3, 1, 2)
    truth = torch.from_numpy(frames.truth[:2])
    found = linear_loss(model.decode_head.train(), maps, truth)
    tokens = maps.permute(1, 0, 2, 3).flatten(1)
    mean, std = tokens.mean(1), (tokens.var(1, correction=0) + 1e-5).sqrt()
    weight = model.decode_head.conv_seg.weight.flatten()
    normed = (maps - mean[:, None, None]) / std[:, None, None]
    logits = torch.einsum("bdhw,d->bhw", normed, weight) + model.decode_head.conv_seg.bias
    logits = F.interpolate(logits[:, None], 24, mode="bilinear")[:, 0]
    shares, mask = logits.sigmoid(), truth.float()
    bce = F.binary_cross_entropy(shares, mask)
    overlap, total = (shares * mask).sum((1, 2)), shares.sum((1, 2)) + mask.sum((1, 2))
    assert found.item() == pytest.approx((bce + 1 - (2 * overlap / total).mean()).item(), rel=1e-4)


def test_every_class_has_a_sigmoid_of_its_own(make_cell, frames):
    """Two classes that overlap are both found."""
    second = frames.truth | np.roll(frames.truth, 3, axis=2)
    several = FrameFeatures(frames.features, frames.truth + 2 * second, parameters=0)
    config = make_cell("linear", "steps=200", "batch_size=6", "base_lr=0.1").config
    model = build_linear(config, width=5, classes=2, seed=0)
    fit_linear(model, config, [several], ALL, seed=0)
    maps = torch.from_numpy(frames.features).permute(0, 3, 1, 2)
    found = F.interpolate(model.eval().decode_head((maps,)), 24, mode="bilinear") > 0
    assert (found[:, 0] & found[:, 1]).any()
    assert dice(found[:, 0].numpy(), frames.truth > 0) > 70


def test_equal_seeds_give_equal_weights_and_others_do_not(make_cell, vessels, features):
    config = make_cell("linear").config
    cache = FeatureCache(config, vessels, features)

    def weights(seed):
        return train_linear(cache, config, seed).decode_head.conv_seg.weight.detach().clone()

    first = weights(1)
    torch.manual_seed(5)  # what ran before does not matter
    assert torch.equal(weights(1), first)
    assert not torch.allclose(weights(2), first)


def test_only_labelled_frames_are_learned_from(make_cell, vessels, features):
    """Masks and features of the others do not enter."""
    config = make_cell("linear", "label_fraction=0.5").config
    cache = FeatureCache(config, vessels, features)
    before = train_linear(cache, config, 0).decode_head.conv_seg.weight
    chosen = set(labelled_frames(config, vessels, 0))
    assert chosen in ({0, 1}, {2, 3}), "one complete patient"
    others = sorted({0, 1, 2, 3} - chosen)
    for mirrored in (False, True):
        found = cache.load("train", mirrored)
        spoilt = FrameFeatures(np.array(found.features), np.array(found.truth), parameters=0)
        spoilt.features[others] = np.nan
        spoilt.truth[others] = 1
        cache._loaded["train", mirrored] = spoilt
    assert torch.equal(train_linear(cache, config, 0).decode_head.conv_seg.weight, before)
    for mirrored in (False, True):
        cache._loaded["train", mirrored].features[sorted(chosen)] = np.nan
    with pytest.raises(InputError, match="not finite"):
        train_linear(cache, config, 0)


def test_scores_are_those_of_up_sampled_logits_at_native_size(
    make_cell, vessels, features, tmp_path
):
    cell = make_cell("linear", "steps=100", "base_lr=0.03")
    cache = FeatureCache(cell.config, vessels, features)
    model = train_linear(cache, cell.config, 0)
    metric = load_task("segmentation").build_metric(cell.config, vessels, tmp_path / "predictions")
    found = score_linear(model, metric, cache.load("test"), vessels, batch_size=1)
    expected = []
    for frame, item in enumerate(vessels.splits["test"]):
        maps = torch.from_numpy(np.array(cache.load("test").features[frame])).permute(2, 0, 1)
        with torch.no_grad():
            logits = model.decode_head((maps[None],))
        for size in (64, 80):
            logits = F.interpolate(logits, size, mode="bilinear")
        truth = vessels.channels("test", item["stem"])[0]
        expected.append(dice(logits[0, 0].numpy() > 0, truth))
    assert list(metric.scores["dsc"]) == pytest.approx(expected)
    assert found["dsc"] == pytest.approx(np.mean(expected))
    assert max(expected) > 0


def test_a_single_patch_has_no_variance(make_cell, frames):
    """Maps of 1×1: batch norm needs a second frame in the batch."""
    config = make_cell("linear", "steps=2", "batch_size=4").config
    small = FrameFeatures(frames.features[:, :1, :1], frames.truth, parameters=0)
    model = build_linear(config, width=5, classes=1, seed=0)
    fit_linear(model, config, [small], ALL[:2], seed=0)
    with pytest.raises(InputError, match="batch_size=4: a single patch in a batch"):
        fit_linear(model, config, [small], ALL[:1], seed=0)


def test_patches_are_ranked_by_their_logits(make_cell, vessels, features):
    """Before up-sampling, with the labels of k-NN; by scikit-learn."""
    config = make_cell("linear", "steps=50").config
    cache = FeatureCache(config, vessels, features)
    model, test = train_linear(cache, config, 0).eval(), cache.load("test")
    with torch.no_grad():
        maps = torch.from_numpy(np.array(test.features)).permute(0, 3, 1, 2)
        logits = model.decode_head((maps,))[:, 0].flatten(1).numpy()
    vessel = (test.truth > 0).reshape(2, 8, 8, 8, 8).any(axis=(2, 4)).reshape(2, -1)
    pooled, each = score_patches(model, test, config)
    expected = average_precision_score(vessel.ravel(), logits.ravel())
    assert pooled == pytest.approx(100 * expected, abs=1e-3)
    expected = [100 * average_precision_score(*pair) for pair in zip(vessel, logits)]
    assert each == pytest.approx(expected, abs=1e-3)


def test_settings_that_nothing_can_be_trained_with_are_refused(make_cell, vessels, features):
    for option, message in (
        ("losses=[]", "losses: none"),
        ("optimizer.weight_decay=-1", "AdamW: Invalid weight_decay value: -1"),
    ):
        config = make_cell("linear", option).config
        with pytest.raises(InputError, match=message):
            train_linear(FeatureCache(config, vessels, features), config, 0)

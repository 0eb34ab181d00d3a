"""Which frames are probed, what their patches are labelled, and what a probe says of features."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from benchmark.data.packs import PackCollection, PackSubset, open_packs
from benchmark.data.packs.reading import unpack_bits
from benchmark.errors import InputError
from benchmark.nn.vit import VisionTransformer
from benchmark.training.probing import (
    ProbeFrames,
    choose_frames,
    patch_features,
    probe,
    read_frames,
)


@pytest.fixture(scope="module")
def packs(work) -> PackCollection:
    """14 frames of two patients."""
    return open_packs([work / "packs" / "xa170k"])


def with_index(packs: PackCollection, **columns: list[str | None]) -> PackCollection:
    """The same frames, of others."""
    changed = open_packs([packs.packs[0].path])
    changed.index = changed.index.assign(**columns)
    return changed


def test_halves_share_no_patient(packs):
    fit, score = choose_frames(packs, 8)
    assert (len(fit), len(score)) == (4, 4)
    groups = packs.index["group"]
    assert len(set(groups[fit]) | set(groups[score])) == 2
    assert not set(groups[fit]) & set(groups[score])
    again = choose_frames(packs, 8)
    assert [rows.tolist() for rows in again] == [fit.tolist(), score.tolist()]
    everything = choose_frames(packs, 1000)
    assert sorted(np.concatenate(everything).tolist()) == list(range(14))


def test_each_half_has_as_many_patients_as_it_can(packs):
    """Seven patients of two frames: no second frame of one before a first of another."""
    groups = [f"p{row // 2}" for row in range(14)]
    changed = with_index(packs, group=groups)
    fit, score = choose_frames(changed, 6)
    for rows in (fit, score):
        assert len({groups[row] for row in rows}) == 3
    assert not {groups[row] for row in fit} & {groups[row] for row in score}


def test_frames_of_one_video_stay_together(packs):
    unknown = [None] * 14
    videos = ["a"] * 7 + ["b"] * 7
    fit, score = choose_frames(with_index(packs, group=unknown, video=videos), 100)
    assert {len(fit), len(score)} == {7}
    assert {videos[row] for row in fit} != {videos[row] for row in score}
    fit, score = choose_frames(with_index(packs, group=unknown, video=unknown), 6)
    assert (len(fit), len(score)) == (3, 3)


def test_one_patient_is_refused(packs):
    with pytest.raises(InputError, match="of one patient"):
        choose_frames(with_index(packs, group=["p"] * 14), 8)


def test_held_out_frames_are_scored(packs):
    groups = [f"p{row // 2}" for row in range(14)]
    subset = PackSubset(with_index(packs, group=groups), held_out=0.3)
    assert len(subset) + len(subset.held_out) == 14
    fit, score = choose_frames(subset, 100)
    assert fit.tolist() == subset.rows.tolist()
    assert score.tolist() == subset.held_out.tolist()


def test_frames_are_shown_complete(packs):
    """At their own size, pixels and vessels are those of the pack, and a patch needs one pixel."""
    rows = np.array([0, 5, 13])
    found = read_frames(packs, rows, size=96, stride=8)
    frames, bits, valid = packs.gather(rows)
    assert (valid == 96).all()
    np.testing.assert_array_equal(found.images.numpy(), frames)
    blocks = unpack_bits(bits).reshape(3, 12, 8, 12, 8)
    np.testing.assert_array_equal(found.vessel.numpy(), blocks.any(axis=(2, 4)).reshape(3, -1))
    assert found.patients == packs.index.iloc[rows]["group"].nunique()


class Patches(nn.Module):
    """An encoder whose feature map is mean and contrast of every patch."""

    img_size, strides = 96, (8,)

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        gray = self.scale * images.mean(1, keepdim=True)
        blocks = nn.functional.unfold(gray, 8, stride=8)
        maps = torch.stack([blocks.mean(1), blocks.std(1), blocks.amin(1)], dim=1)
        return [maps.unflatten(2, (12, 12))]


def test_it_is_scikit_learns_on_the_same_features(packs):
    fit, score = (read_frames(packs, rows, 96, 8) for rows in choose_frames(packs, 100))
    encoder = Patches()
    found = probe(encoder, fit, score, c=1.0, iterations=300)
    seen, unseen = (patch_features(encoder, half.images).double().numpy() for half in (fit, score))
    regression = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-6)
    model = make_pipeline(StandardScaler(), regression)
    model.fit(seen, fit.vessel.flatten().numpy())
    truth = score.vessel.flatten().numpy()
    expected = average_precision_score(truth, model.decision_function(unseen))
    assert found.average_precision == pytest.approx(100 * expected, abs=0.01)
    assert found.chance == pytest.approx(100 * truth.mean(), abs=1e-4)
    # The synthetic vessels are dark: these features say much of them.
    assert found.average_precision > found.chance + 20


def test_shuffled_labels_are_chance(packs):
    fit, score = (read_frames(packs, rows, 96, 8) for rows in choose_frames(packs, 100))
    generator = torch.Generator().manual_seed(0)
    shuffled = [
        ProbeFrames(h.images, h.vessel[:, torch.randperm(144, generator=generator)], h.patients)
        for h in (fit, score)
    ]
    found = probe(Patches(), *shuffled, c=1.0, iterations=100)
    assert abs(found.average_precision - found.chance) < 10


def test_features_are_those_after_the_final_norm(packs):
    """Patch tokens without the class token, of the frame as the exported encoder gets it."""
    encoder = VisionTransformer(img_size=96, patch_size=8, embed_dim=32, depth=1, num_heads=2)
    frames = read_frames(packs, np.array([1, 2]), 96, 8)
    with torch.no_grad():
        found = patch_features(encoder.eval(), frames.images).unflatten(0, (2, 144))
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        images = frames.images[..., None].double() / 255
        tokens = encoder(((images - mean) / std).permute(0, 3, 1, 2).float())
    torch.testing.assert_close(found, tokens[:, encoder.num_prefix_tokens :])


def test_features_that_are_not_finite_have_no_precision(packs):
    frames = read_frames(packs, np.array([1, 2]), 96, 8)
    encoder = Patches()
    with torch.no_grad():
        encoder.scale.fill_(torch.nan)
    found = probe(encoder, frames, frames, c=1.0, iterations=10)
    assert found.average_precision is None
    assert 0 < found.chance < 100


def test_unknown_patients_are_counted_one_by_one(packs):
    groups = pd.Series(["a", None] * 7, dtype=object).tolist()
    frames = read_frames(with_index(packs, group=groups), np.arange(6), 96, 8)
    assert frames.patients == 4

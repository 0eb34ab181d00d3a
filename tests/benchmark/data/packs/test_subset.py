"""Subsets of packs: complete patients, nested, the same frames with the same random numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmark.data.packs import PackSubset
from benchmark.data.packs.loader import PackDataset
from benchmark.data.views.single import SingleView
from benchmark.errors import InputError


def test_patients_are_complete_and_subsets_nested(packs):
    before: set[str] = set()
    sizes = packs.index.groupby("group").size()
    for frames in (3, 7, 12, 23):
        subset = PackSubset(packs, frames)
        held = subset.index.groupby("group").size()
        assert all(held[group] == sizes[group] for group in held.index)
        # No more patients than needed.
        assert frames <= len(subset) < frames + sizes.max()
        assert before <= set(subset.index["sha256"])
        before = set(subset.index["sha256"])
    assert len(subset) == len(packs)


def test_frames_and_vessels_are_those_of_the_packs(packs):
    subset = PackSubset(packs, 7)
    order = [len(subset) - 1, 0, 3]
    for found, expected in zip(subset.gather(order), packs.gather(subset.rows[order])):
        np.testing.assert_array_equal(found, expected)
    assert len(PackDataset(subset, anatomy=True)) == len(subset)
    with pytest.raises(IndexError):
        subset.gather([len(subset)])


def test_random_numbers_are_keyed_by_the_frame(packs):
    """The same frame gets the same crop in a subset, however large, as in the complete packs."""
    views = SingleView(size=32)
    complete = views(PackDataset(packs, anatomy=True).__getitems__(list(range(23))))["views"]
    for frames in (3, 7, 12):
        subset = PackSubset(packs, frames)
        assert subset.key_count == packs.key_count == 23
        batch = PackDataset(subset, anatomy=True).__getitems__(list(range(len(subset))))
        assert batch["index"].tolist() == subset.rows.tolist()
        own = views(batch)["views"]
        for name, value in own.items():
            assert torch.equal(value, complete[name][subset.rows]), name


def test_corpus_hash_differs(packs):
    hashes = {PackSubset(packs, frames).corpus_hash for frames in (3, 12, 23)}
    assert len(hashes | {packs.corpus_hash}) == 4
    assert PackSubset(packs, 7).corpus_hash == PackSubset(packs, 7).corpus_hash


@pytest.mark.parametrize("frames", [0, 24])
def test_invalid_number_of_frames(packs, frames):
    with pytest.raises(InputError, match=f"frames={frames}: the packs hold 1 to 23"):
        PackSubset(packs, frames)

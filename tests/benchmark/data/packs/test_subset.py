"""Subsets of packs: whole patients, nested, the same frames under other numbers."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.data.packs import FramePack, PackCollection, PackSubset, add_anatomy, build_pack
from benchmark.data.packs.loader import PackDataset
from benchmark.data.sources import open_source
from benchmark.errors import InputError


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> PackCollection:
    folder = tmp_path_factory.mktemp("packs")
    opened = []
    for seed in (0, 1):
        source = open_source(
            "synthetic", patients=4, videos=1, frames=3, size=32, seed=seed, test_fraction=0
        )
        build_pack(source, folder / str(seed), size=32, progress=False)
        add_anatomy(folder / str(seed), lambda f, v: f < 90, {"rule": "dark"}, progress=False)
        opened.append(FramePack.open(folder / str(seed)))
    return PackCollection(opened)


def test_patients_are_whole_and_subsets_nested(packs: PackCollection) -> None:
    before: set[str] = set()
    whole = packs.index.groupby("group").size()
    for frames in (3, 7, 12, 24):
        subset = PackSubset(packs, frames)
        held = subset.index.groupby("group").size()
        assert all(held[group] == whole[group] for group in held.index)
        # Not a patient more than needed.
        assert frames <= len(subset) < frames + whole.max()
        assert before <= set(subset.index["sha256"])
        before = set(subset.index["sha256"])
    assert len(subset) == len(packs)


def test_frames_and_vessels_are_those_of_the_packs(packs: PackCollection) -> None:
    subset = PackSubset(packs, 7)
    order = [len(subset) - 1, 0, 3]
    frames, bits, valid = subset.gather(order)
    for place, number in enumerate(order):
        row = packs.index.index[packs.index["sha256"] == subset.index["sha256"][number]][0]
        expected = packs.gather([row])
        np.testing.assert_array_equal(frames[place], expected[0][0])
        np.testing.assert_array_equal(bits[place], expected[1][0])
        np.testing.assert_array_equal(valid[place], expected[2][0])
    assert len(PackDataset(subset, anatomy=True)) == len(subset)
    with pytest.raises(IndexError):
        subset.gather([len(subset)])


def test_the_corpus_is_another_one(packs: PackCollection) -> None:
    hashes = {PackSubset(packs, frames).corpus_hash for frames in (3, 7, 24)}
    assert len(hashes | {packs.corpus_hash}) == 4
    assert PackSubset(packs, 7).corpus_hash == PackSubset(packs, 7).corpus_hash


@pytest.mark.parametrize("frames", [0, 25])
def test_a_number_that_is_not_there_is_refused(packs: PackCollection, frames: int) -> None:
    with pytest.raises(InputError, match=f"frames={frames}: the packs hold 1 to 24"):
        PackSubset(packs, frames)

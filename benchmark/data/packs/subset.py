"""Subsets of packs, to measure the effect of the size of the pre-training dataset."""

from __future__ import annotations

from collections import Counter

import numpy as np

from benchmark.data.packs.reading import Batch, Indices, PackCollection, Samples, check_indices
from benchmark.data.splits import nested_subset
from benchmark.errors import InputError
from benchmark.files import sha256_json


class PackSubset(Samples):
    """All frames of randomly drawn patients, as many patients as are needed for `frames` frames.

    Subsets are nested: the patients of a smaller one are in every larger one. A frame of unknown
    patient counts as a patient of its own.

    Args:
        packs: what is drawn from.
        frames: least number of frames; the last patient may exceed it.

    Attributes:
        index, size, without_anatomy: as of `PackCollection`, for the frames of the subset.
        corpus_hash: of the packs and the selected samples.

    Raises:
        InputError: `frames` is below 1 or more than there are.
    """

    def __init__(self, packs: PackCollection, frames: int) -> None:
        if not 1 <= frames <= len(packs):
            raise InputError(f"frames={frames}: the packs hold 1 to {len(packs)}")
        index = packs.index
        alone = index["source"] + "/" + index["path"]
        groups = index["group"].where(index["group"].notna(), alone)
        chosen = nested_subset(Counter(groups), frames / len(packs), seed=0)
        self.rows = np.flatnonzero(groups.isin(chosen))
        self.packs = packs
        self.size = packs.size
        self.index = index.iloc[self.rows].reset_index(drop=True)
        self.without_anatomy = packs.without_anatomy
        self.corpus_hash = sha256_json([packs.corpus_hash, self.rows.tolist()])

    def __len__(self) -> int:
        return len(self.rows)

    def gather(self, indices: Indices, anatomy: bool = True) -> Batch:
        return self.packs.gather(self.rows[check_indices(indices, len(self))], anatomy)

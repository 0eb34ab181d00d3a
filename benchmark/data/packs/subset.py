"""Part of the frames of packs: for how much the size of a corpus matters."""

from __future__ import annotations

from collections import Counter

import numpy as np

from benchmark.data.packs.reading import Batch, Indices, PackCollection, _Samples, checked_indices
from benchmark.data.splits import nested_subset
from benchmark.errors import InputError
from benchmark.files import sha256_json


class PackSubset(_Samples):
    """Whole patients of packs, drawn until they hold the number of frames that is wanted.

    The patients of a smaller subset are among those of a larger one. A frame whose patient is not
    known counts as a patient of its own.

    Args:
        packs: what is drawn from.
        frames: number of frames; a patient more makes up what the others lack.

    Attributes:
        index, size, without_anatomy: as `PackCollection`, of the frames that are left.
        corpus_hash: of the packs and of which of their frames these are.

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
        return self.packs.gather(self.rows[checked_indices(indices, len(self))], anatomy)

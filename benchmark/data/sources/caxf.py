"""CAXF: 538 coronary angiograms with vessel masks, 337 for training and 201 for testing (CAU-net,
ICONIP 2020).

The authors provide the dataset on request and no layout is published, so it is read as paired
folders, ``{train,test}/{images,masks}``; see `benchmark.data.sources.paired`.
"""

from __future__ import annotations

from benchmark.data.sources.files import Raw
from benchmark.data.sources.paired import Paired


class Caxf(Paired):
    """Reader of CAXF; the split is the published one where both folders exist."""

    name = "caxf"
    expected = {"frames": 538}

    def __init__(self, raw: Raw) -> None:
        super().__init__(raw, name=self.name, layout="masks", group="list")
        del self.options["name"]
        self.official_split = {"train", "test"} <= self._layout.splits
        if self.official_split:
            self.split_note = "train and test as provided by the authors, 337 and 201 frames"

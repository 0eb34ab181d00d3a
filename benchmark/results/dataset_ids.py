"""What the dataset id of a record says beside the dataset.

- ``arcade_v``: fine-tuned with all training labels
- ``arcade_v-10pct``: fine-tuned with 10 % of them
- ``xcav-patches``: the analysis of an encoder's patch features on the labelled training frames
- ``xcav-patches-test``: the same on the frames of another split
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Literal, NamedTuple

from benchmark.errors import InputError

_SHARE = re.compile(r"(?P<base>.+)-(?P<share>\d+(\.\d+)?)pct")
_PATCHES = re.compile(r"(?P<base>.+?)-patches(?:-(?P<split>.+))?")


class DatasetId(NamedTuple):
    """A dataset id taken apart."""

    dataset: str  # file of ``configs/downstream``
    kind: Literal["fine-tuning", "patches"] = "fine-tuning"
    label_fraction: float = 1.0  # share of the training labels, in (0, 1]
    split: str = "train"  # whose patches are analysed


def parse_dataset_id(text: str) -> DatasetId:
    """Take the id of a dataset apart.

    Raises:
        InputError: its share is none of (0, 100) %, or it is not written as records have it.
    """
    if match := _PATCHES.fullmatch(text):
        known = DatasetId(match["base"], "patches", split=match["split"] or "train")
        if text != (usual := patches_of(known.dataset, known.split)):
            raise InputError(f"{text}: write {usual}")
        return known
    match = _SHARE.fullmatch(text)
    if match is None:
        return DatasetId(text)
    # In decimal, so that 12.3 % is the float that 0.123 on a command line is.
    fraction = float(Decimal(match["share"]) / 100)
    if fraction == 1:
        raise InputError(f"{text}: with all its labels the dataset is {match['base']}")
    if not 0 < fraction < 1 or with_label_share(match["base"], fraction) != text:
        raise InputError(
            f"{text}: not a share of labels; write between 0 and 100 % as in {match['base']}-10pct"
        )
    return DatasetId(match["base"], label_fraction=fraction)


def with_label_share(dataset: str, fraction: float) -> str:
    """The id of a dataset with a share of its training labels: 0.1 gives ``arcade_v-10pct``.

    With all of them, that is the dataset.
    """
    return dataset if fraction == 1 else f"{dataset}-{100 * fraction:g}pct"


def patches_of(dataset: str, split: str = "train") -> str:
    """The id of the analysis of patch features on a split of a dataset."""
    return f"{dataset}-patches" if split == "train" else f"{dataset}-patches-{split}"


def split_of_patches(dataset: str) -> tuple[str, str] | None:
    """The dataset and the split behind the id of an analysis of patch features, None of another.

    ``xcad-patches-test`` → ``("xcad", "test")``. Records may have ids of any form.
    """
    match = _PATCHES.fullmatch(dataset)
    return (match["base"], match["split"] or "train") if match else None


def label_share(dataset: str) -> tuple[str, float]:
    """The dataset behind an id and the share of its labels in %: ``xcav-10pct`` → ``("xcav", 10)``.

    A dataset with all its labels has the share 100. Records may have ids of any form.
    """
    match = _SHARE.fullmatch(dataset)
    return (match["base"], float(match["share"])) if match else (dataset, 100.0)

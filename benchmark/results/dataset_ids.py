"""The parts of the dataset id of a record: dataset, labels and kind.

An id is ``<dataset>[<labels>][<kind>]``. Labels, of the training split:

- none: all of them
- ``-10pct``: 10 % of them
- ``-5images``: those of five images, drawn with the seed

Kinds:

- none: the encoder is fine-tuned with a head and scored on the test split
- ``-lora``: low-rank adapters are trained in place of the encoder's weights
- ``-linear``, ``-knn``: the encoder is frozen
- ``-to-xcav``, ``-to-xcav.val``: a fine-tuned model scored on another dataset (or another split)
- ``-corruptions``: a fine-tuned model scored on its own test split under corruptions
- ``-patches``, ``-patches-test``: the analysis of an encoder's patch features on the labelled
  training frames, or on those of another split
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Literal, NamedTuple

from benchmark.errors import InputError

Kind = Literal["fine-tuning", "lora", "linear", "knn", "transfer", "corruptions", "patches"]

_ID = re.compile(
    r"(?P<base>.+?)"
    r"(?:-(?P<share>\d+(?:\.\d+)?)pct|-(?P<count>\d+)images)?"
    r"(?:-(?P<kind>lora|linear|knn|corruptions)"
    r"|-to-(?P<tested>.+?)(?:\.(?P<tested_split>train|val|test))?"
    r"|-(?P<patches>patches)(?:-(?P<patches_split>.+))?)?"
)


class DatasetId(NamedTuple):
    """A dataset id taken apart; `text` puts it together again.

    Attributes:
        dataset: file of ``configs/downstream``.
        kind: how an encoder or a model is evaluated on it.
        label_fraction: share of the training labels, in (0, 1].
        split: the one whose patches are analysed, or that of `tested` whose frames are scored.
        label_count: number of labelled training images; None where `label_fraction` is used.
        tested: for a transfer, the dataset that the model is scored on.
    """

    dataset: str
    kind: Kind = "fine-tuning"
    label_fraction: float = 1.0
    split: str = "train"
    label_count: int | None = None
    tested: str | None = None

    @property
    def text(self) -> str:
        """The id, as records have it."""
        labels = "" if self.label_count is None else f"-{self.label_count}images"
        if self.label_fraction != 1:
            labels = f"-{100 * self.label_fraction:g}pct"
        if self.kind == "transfer":
            kind = f"-to-{self.tested}" + ("" if self.split == "test" else f".{self.split}")
        elif self.kind == "patches":
            kind = "-patches" + ("" if self.split == "train" else f"-{self.split}")
        else:
            kind = "" if self.kind == "fine-tuning" else f"-{self.kind}"
        return f"{self.dataset}{labels}{kind}"

    @property
    def all_labels(self) -> bool:
        """Whether all labels of the training split were used."""
        return self.label_fraction == 1 and self.label_count is None

    @property
    def plain(self) -> bool:
        """Whether it is a dataset alone: fine-tuning with all of its labels."""
        return self == DatasetId(self.dataset)


def read_dataset_id(text: str) -> DatasetId:
    """Take the id of a record apart; one of any other form is that of a dataset alone."""
    match = _ID.fullmatch(text)
    if match is None:
        return DatasetId(text)
    share, count = match["share"], match["count"]
    # In decimal, so that 12.3 % is the float that 0.123 on a command line is.
    fraction = float(Decimal(share) / 100) if share else 1.0
    kind, split = match["kind"] or "fine-tuning", "train"
    if match["tested"]:
        kind, split = "transfer", match["tested_split"] or "test"
    elif match["patches"]:
        kind, split = "patches", match["patches_split"] or "train"
    labels = int(count) if count else None
    known = DatasetId(match["base"], kind, fraction, split, labels, match["tested"])
    return known if known.text == text and 0 < fraction <= 1 and labels != 0 else DatasetId(text)


def parse_dataset_id(text: str) -> DatasetId:
    """Take the id of a dataset apart.

    Raises:
        InputError: it looks like an id with labels or a kind, but is not written as records have
            it, or its share is not in (0, 100) %.
    """
    known = read_dataset_id(text)
    match = _ID.fullmatch(text)
    if not known.plain or match is None or match["base"] == text:
        return known
    base, share = match["base"], match["share"]
    if share and Decimal(share) == 100:
        raise InputError(f"{text}: with all its labels the dataset is {base}")
    if share:
        raise InputError(
            f"{text}: not a share of labels; write between 0 and 100 % as in {base}-10pct"
        )
    if match["count"]:
        raise InputError(f"{text}: not a number of labelled images; write it as in {base}-5images")
    usual = f"{base}-patches" if match["patches"] else f"{base}-to-{match['tested']}"
    raise InputError(f"{text}: write {usual}")


def labelled_id(
    dataset: str, fraction: float = 1.0, count: int | None = None, kind: Kind = "fine-tuning"
) -> str:
    """The id of a dataset with fewer labels: ``arcade_v-10pct`` or ``arcade_v-5images``.

    With all labels and ordinary fine-tuning, it is the name of the dataset.

    Args:
        dataset: file of ``configs/downstream``.
        fraction: share of the training labels, in (0, 1].
        count: number of labelled training images; None where the share is used.
        kind: how an encoder is evaluated.

    Raises:
        InputError: both were set, or no id has that share.
    """
    if count is not None and fraction != 1:
        raise InputError(f"label_count={count} with label_fraction={fraction:g}: set one of them")
    known = DatasetId(dataset, kind, fraction, label_count=count)
    if read_dataset_id(known.text).label_fraction != fraction:
        raise InputError(
            f"label_fraction={fraction!r}: an id states percent with six digits; round it"
        )
    return known.text


def label_share(dataset: str) -> tuple[str, float]:
    """The dataset behind an id and the share of its labels in %: ``xcav-10pct`` → ``("xcav", 10)``.

    A dataset with all its labels has the share 100. Records may have ids of any form.
    """
    known = read_dataset_id(dataset)
    if known.kind != "fine-tuning" or known.label_fraction == 1:
        return dataset, 100.0
    return known.dataset, float(f"{100 * known.label_fraction:g}")

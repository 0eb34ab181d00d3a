"""The five downloads of XA-20K with synthetic frames."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

from benchmark.data.sources.corpora.xa20k import TEST_COPY
from benchmark.data.synthetic.raw.arcade import FRAMES, write_subset
from benchmark.data.synthetic.raw.cadica import write_cadica
from benchmark.data.synthetic.raw.dataset import RawDataset
from benchmark.data.synthetic.raw.pairs import write_xcad
from benchmark.data.synthetic.raw.stenosis import patients_with_stenoses, write_stenosis
from benchmark.data.synthetic.raw.syntax import write_syntax

_SEEDS = 1000
"""The seeds of the parts are this far apart, so that no two parts share patients."""


def write_xa20k(raw: RawDataset) -> None:
    """One folder per part, written like the part alone, but with different patients.

    The counts are those of a pack. Among the defects are training images of one subset of ARCADE
    that are test images of the other, since both show the same patients.
    """
    parts: dict[str, Callable[[RawDataset], None]] = {
        "arcade": _write_arcade,
        "cadica": write_cadica,
        "stenosis": _write_stenosis,
        "syntax": write_syntax,
        "xcad": _write_xcad,
    }
    for number, (name, write) in enumerate(parts.items()):
        part = raw.part(name, raw.seed + _SEEDS * number)
        write(part)
        for split, count in part.frames.items():
            if split == "train" or "train" not in part.frames:
                raw.frames[None] += count
            else:
                raw.skipped[f"{name}, {split or 'no split'}"] += count
        raw.skipped.update(part.skipped)


def _write_arcade(raw: RawDataset) -> None:
    write_subset(raw, "syntax")
    if not raw.defects:
        write_subset(replace(raw, seed=raw.seed + _SEEDS // 2), "stenosis")
        return
    write_subset(raw, "stenosis")
    # A pack takes these images as well, one of train and one of test.
    raw.frames.update(train=1, test=1)
    del raw.skipped["no usable annotation"]
    drawn = {"syntax": itertools.count(), "stenosis": patients_with_stenoses(raw)}
    patients = {
        (subset, split): set(itertools.islice(numbers, count))
        for subset, numbers in drawn.items()
        for split, count in FRAMES.items()
    }
    copies = len(patients["syntax", "train"] & patients["stenosis", "test"])
    copies += len(patients["stenosis", "train"] & patients["syntax", "test"])
    raw.frames["train"] -= copies
    raw.skipped[TEST_COPY] += copies


def _write_stenosis(raw: RawDataset) -> None:
    write_stenosis(raw)
    # A pack takes the frames without a usable box as well; all of them are in the training list.
    raw.frames["train"] += raw.skipped.pop("no usable box", 0)
    if raw.defects:
        # Some test frames are copies of a training frame of the same patient.
        raw.frames["train"] -= 1
        raw.skipped[TEST_COPY] += 1


def _write_xcad(raw: RawDataset) -> None:
    write_xcad(raw)
    # The test set is not even listed.
    for missing in ("image without a mask", "mask without an image"):
        raw.skipped.pop(missing, None)
    del raw.frames["test"]

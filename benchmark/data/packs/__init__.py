"""Packs: frames decoded once, which all pre-training reads.

A pack is a folder: ``frames.u8`` (N×S×S uint8, grayscale), ``index.parquet`` (one row per frame;
the row number is the sample index), ``manifest.json`` (counts, hashes, parameters, versions, what
was skipped), ``report.json`` (every skipped path, by reason) and, once added, ``anatomy.u1``
(N×S×S vessel masks at one bit per pixel).
"""

from benchmark.data.packs.anatomy import add_anatomy
from benchmark.data.packs.building import build_pack
from benchmark.data.packs.reading import (
    FramePack,
    PackCollection,
    PackSubset,
    open_packs,
    training_frames,
)

__all__ = [
    "FramePack",
    "PackCollection",
    "PackSubset",
    "add_anatomy",
    "build_pack",
    "open_packs",
    "training_frames",
]

"""Layouts of a user's own labelled data, recognised by `recognise`."""

from __future__ import annotations

from pathlib import Path

from benchmark.data.sources.files import FolderSource
from benchmark.data.sources.layouts.base import Layout, Sample
from benchmark.data.sources.layouts.boxes import VocLayout
from benchmark.data.sources.layouts.coco import CocoLayout
from benchmark.data.sources.layouts.pairs import CleanLayout, MaskLayout

LAYOUTS: dict[str, type[Layout]] = {
    layout.kind: layout for layout in (MaskLayout, CocoLayout, VocLayout, CleanLayout)
}

ACCEPTED = (
    "{train,val,test}/{images,masks}, images/{train,val,test} + masks/{train,val,test}, images + "
    "masks, images + COCO json, images + VOC xml, or clean and noisy frames in place of images "
    "and masks"
)
"""The layouts, for messages; docs/add_a_dataset.md describes them."""

WITH_SPLITS = (
    "{train,val,test}/{images,masks}, images/{train,val,test} + masks/{train,val,test}, and one "
    "folder or annotation file for each split"
)
"""Those that give the split of every image."""

__all__ = ["ACCEPTED", "LAYOUTS", "WITH_SPLITS", "Layout", "Sample", "recognise"]


def recognise(
    source: FolderSource, root: Path, kinds: tuple[str, ...], problems: list[str]
) -> list[Layout]:
    """The layouts of these kinds that a folder is in; usually one or none.

    Args:
        source: source of the data.
        root: the folder.
        kinds: keys of `LAYOUTS`.
        problems: files that cannot be read, and may belong to a layout, are added to it.

    Raises:
        InputError: one of them is ambiguous or incomplete.
    """
    found = (LAYOUTS[kind].find(source, root, problems) for kind in kinds)
    return [layout for layout in found if layout is not None]

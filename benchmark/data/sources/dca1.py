"""DCA1: single angiograms of 300×300 pixels with vessel masks (Cervantes-Sanchez et al., 2019).

The download (``Database_134_Angiograms/``) is one flat folder of pairs, ``N.pgm`` and
``N_gt.pgm``; copies as PNG have the same names. No patient is known and no split is published.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from benchmark.data.frame import Frame, SkipReport
from benchmark.data.sources.files import FolderSource, find_root, walk_images

_MARK = "_gt"


def _is_mask(path: Path) -> bool:
    return path.stem.casefold().endswith(_MARK)


def _has_masks(folder: Path) -> bool:
    return any(_is_mask(path) for path in walk_images(folder, nested=False))


class Dca1(FolderSource):
    """Reader of DCA1. Vessel is where the mask is above 127.

    The first 75 % of the pairs in natural order (rounded up) are ``train``, the rest ``test``.

    Raises:
        InputError: the folder is missing or holds no ``N_gt`` mask.
    """

    name = "dca1"
    expected = {"frames": 134}
    split_note = "first 75 % of the pairs in natural order are train, the rest test"
    mask_threshold = 127
    forms = ("segmentation", "pack")
    classes = ("vessel",)

    def __init__(self, raw: str | os.PathLike[str] | None) -> None:
        super().__init__()
        self.root = find_root(raw, _has_masks, "DCA1 (a folder with pairs N.png, N_gt.png)")

    def frames(self) -> Iterator[Frame]:
        self.report = SkipReport()
        images: dict[str, Path] = {}
        masks: dict[str, Path] = {}
        for path in walk_images(self.root, nested=False):
            table = masks if _is_mask(path) else images
            stem = path.stem.casefold().removesuffix(_MARK)
            if stem in table:
                self.report.add("same name twice", self.relative(path))
            else:
                table[stem] = path
        for stem in (stem for stem in images if stem not in masks):
            self.report.add("image without a mask", self.relative(images[stem]))
        for stem in (stem for stem in masks if stem not in images):
            self.report.add("mask without an image", self.relative(masks[stem]))
        pairs = [stem for stem in images if stem in masks]
        for position, stem in enumerate(pairs):
            split = "train" if 4 * position < 3 * len(pairs) else "test"
            path, mask = self.relative(images[stem]), self.relative(masks[stem])
            yield Frame(self.name, path, split=split, annotation=mask)

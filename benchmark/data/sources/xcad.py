"""XCAD: 1,621 angiograms without and 126 with vessel masks (Ma et al., ICCV 2021).

The download of AISIGSJTU/SSVS unpacks to::

    XCAD/train/trainB/<n>.png               angiograms, not annotated, patients unknown
    XCAD/test/images/<5 digits>_<frame>.png
    XCAD/test/masks/<same name>.png         vessel where not 0

Copies name the folders ``train/img``, ``test/img`` and ``test/gt``, or hold the training images in
``train/`` itself. ``trainA`` (synthetic masks) and ``trainC`` (no contrast) are never read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from benchmark.data.frame import Frame
from benchmark.data.sources.files import FolderSource, Raw, find_folder, find_root, walk_images

_NAME = re.compile(r"(\d{5})_(\d{1,9})")


def _folder(root: Path, *choices: str) -> Path | None:
    """The first of these folders that exists, e.g. ``"test/images"``, in any spelling."""
    return next(filter(None, (find_folder(root, choice) for choice in choices)), None)


def _train_folder(root: Path) -> Path | None:
    train = _folder(root, "train")
    holds_images = train is not None and any(walk_images(train, nested=False))
    return _folder(root, "train/trainB", "train/img") or (train if holds_images else None)


def is_xcad(folder: Path) -> bool:
    """Whether this is the root of the download, or of one of its two halves."""
    return _train_folder(folder) is not None or _folder(folder, *Xcad.images) is not None


class Xcad(FolderSource):
    """Reader of XCAD.

    The frames of ``test/`` have masks; their group is the sequence, the five digits of the name
    (None where the name has none). By default, only ``train`` goes into a pack.
    """

    name = "xcad"
    expected = {"frames": 1621}
    split_note = "the folders train and test of the download"
    official_split = True
    forms = ("pack", "segmentation")
    pack_splits = ("train",)
    classes = ("vessel",)
    images = ("test/images", "test/img")
    masks = ("test/masks", "test/gt")

    def __init__(self, raw: Raw) -> None:
        super().__init__()
        self.root = find_root(raw, is_xcad, "XCAD (folders train/trainB, test/images, test/masks)")

    def walk(self) -> Iterator[Frame]:
        yield from self.train_frames()
        yield from self.test_frames()

    def train_frames(self) -> Iterator[Frame]:
        """Frames without a mask."""
        folder = _train_folder(self.root)
        for path in walk_images(folder, nested=False) if folder else ():
            yield Frame(self.name, self.relative(path), split="train")

    def test_frames(self) -> Iterator[Frame]:
        """Frames with a mask."""
        folders = (_folder(self.root, *self.images), _folder(self.root, *self.masks))
        images, masks = (walk_images(folder, nested=False) if folder else () for folder in folders)
        for image, mask in self.pair(images, masks):
            match = _NAME.fullmatch(image.stem)
            group = f"{self.name}/{match[1]}" if match else None
            number = int(match[2]) if match else None
            path, annotation = self.relative(image), self.relative(mask)
            yield Frame(self.name, path, group, group, number, "test", annotation)

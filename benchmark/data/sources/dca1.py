"""DCA1: single angiograms of 300×300 pixels with vessel masks (Cervantes-Sanchez et al., 2019).

The download (``Database_134_Angiograms/``) is a flat folder of pairs, ``N.pgm`` and ``N_gt.pgm``;
copies as PNG have the same names. Patients are unknown and no split is published.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmark.data.formats.list_files import name_key
from benchmark.data.frame import Frame
from benchmark.data.sources.files import FolderSource, Raw, find_root, walk_images

_MASK_SUFFIX = "_gt"


def _is_mask(path: Path) -> bool:
    return path.stem.casefold().endswith(_MASK_SUFFIX)


def is_dca1(folder: Path) -> bool:
    """Whether a folder holds masks of the dataset."""
    return any(_is_mask(path) for path in walk_images(folder, nested=False))


class Dca1(FolderSource):
    """Reader of DCA1.

    The first 75 % of the pairs in natural order (rounded up) are ``train``, the rest ``test``.
    """

    name = "dca1"
    expected = {"frames": 134}
    split_note = "first 75 % of the pairs in natural order are train, the rest test"
    forms = ("segmentation", "pack")
    pack_splits = ("train",)
    classes = ("vessel",)

    def __init__(self, raw: Raw) -> None:
        super().__init__()
        self.root = find_root(raw, is_dca1, "DCA1 (a folder with pairs N.png, N_gt.png)")

    def file_set(self, path: Path) -> tuple[str, Iterable[Path]]:
        """The images of the same folder, without the masks, whose white level differs."""
        name, files = super().file_set(path)
        return name, (file for file in files if not _is_mask(file))

    def walk(self) -> Iterator[Frame]:
        paths = list(walk_images(self.root, nested=False))
        images = (path for path in paths if not _is_mask(path))
        masks = (path for path in paths if _is_mask(path))
        pairs = self.pair(
            images, masks, lambda path: name_key(path.stem).removesuffix(_MASK_SUFFIX)
        )
        for position, (image, mask) in enumerate(pairs):
            split = "train" if 4 * position < 3 * len(pairs) else "test"
            path, annotation = self.relative(image), self.relative(mask)
            yield Frame(self.name, path, split=split, annotation=annotation)

"""What the layouts of labelled data share: their samples, and finding folders and images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from benchmark.data.formats.list_files import name_key
from benchmark.data.frame import Frame, UnreadableFrame
from benchmark.data.sources.files import FolderSource, list_folders, walk_images
from benchmark.data.splits import split_named, split_of

if TYPE_CHECKING:
    from typing import Self

    import numpy as np

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "img_dir", "jpegimages")
MASK_FOLDERS = (
    *("masks", "mask", "ann_dir", "annotations", "labels", "label"),
    *("ground_truth", "groundtruth", "gt", "segmentationclass"),
)
ANNOTATION_FOLDERS = ("annotations", "annotation", "labels", "label", "json", "xml", "coco", "voc")


class Sample(NamedTuple):
    """One annotated image.

    Attributes:
        split: split that its folder or its annotation file names, or None.
        image: the image file.
        annotation: where the annotation is, as in `Frame.annotation`.
        name: path of the image below the folder of all images, with ``/``.
    """

    split: str | None
    image: Path
    annotation: str
    name: str


class Layout(ABC):
    """One way to lay out images and annotations on disk.

    Attributes:
        kind: what an option calls it.
        title: the folders found, as printed: ``images/{train,test} + masks/{train,test}``.
        forms: what `tools/prepare_data.py` can build from it besides packs, the default first.
        classes: names of the classes that the files declare; empty where they do not.
        splits: splits that folders of images and masks name.
        split_note: one sentence on where the splits come from.
    """

    kind: ClassVar[str]
    title: str
    forms: tuple[str, ...]
    classes: tuple[str, ...] = ()
    splits: frozenset[str | None] = frozenset()
    split_note = "the folders the images lie in"

    def __init__(self, source: FolderSource, root: Path) -> None:
        self.source = source
        self.root = root

    @classmethod
    @abstractmethod
    def find(cls, source: FolderSource, root: Path, problems: list[str]) -> Self | None:
        """The layout, if the folder `root` has it.

        Files that cannot be read, and may belong to the layout, are added to `problems`.

        Raises:
            InputError: it is ambiguous or incomplete.
        """

    @abstractmethod
    def samples(self) -> Iterator[Sample]:
        """The annotated images; adds to the report of the source what is skipped."""

    @abstractmethod
    def images(self) -> Iterator[Path]:
        """The images that share one white level: all of them, so that splits do not differ."""

    def select_classes(self, classes: tuple[str, ...]) -> None:
        """Use these classes, in this order. Raises `InputError` for one that is not declared."""
        self.classes = classes

    def read_masks(self, frame: Frame) -> np.ndarray:
        """One mask per class, as `Source.read_masks`."""
        raise UnreadableFrame("no mask")

    def read_boxes(self, frame: Frame) -> np.ndarray:
        """Boxes, as `Source.read_boxes`."""
        raise UnreadableFrame("no boxes")

    def read_degraded(self, frame: Frame) -> np.ndarray:
        """The noisy frame of a clean one, as `Source.read_degraded`."""
        raise UnreadableFrame("no noisy frame")


def named(folder: Path, names: Collection[str]) -> list[Path]:
    """Sub-folders of `folder` with one of these names, in any spelling."""
    return [entry for entry in list_folders(folder) if name_key(entry.name) in names]


def data_folders(root: Path, names: Collection[str]) -> Iterator[tuple[str | None, Path]]:
    """`root` and the folders at most two levels below it that may hold annotations.

    Those are folders with one of `names`, and folders that name a split, with the split.
    """
    yield None, root
    for folder in list_folders(root):
        split = split_named(folder.name)
        if split is None and name_key(folder.name) not in names:
            continue
        yield split, folder
        for inner in list_folders(folder):
            within = split_named(inner.name)
            if (within and not split) or (split and name_key(inner.name) in names):
                yield split or within, inner


def titled(parts: Iterable[str]) -> str:
    """Different names joined as in a title: ``{train,test}``, or the name alone."""
    names = list(dict.fromkeys(parts))
    return names[0] if len(names) == 1 else f"{{{','.join(names)}}}"


class ImageIndex:
    """The images of a dataset, found by what annotation files call them.

    Listed paths are compared with the files that were found, and never opened.
    """

    def __init__(self, root: Path, by_stem: bool = False) -> None:
        self.root = root
        self._by_stem = by_stem
        self.files = list(
            walk_images(root, enter=lambda folder: name_key(folder.name) not in _NOT_IMAGES)
        )
        self._by_name: dict[str, list[tuple[Path, str | None]]] = {}
        for path in self.files:
            split = split_of(path, root)
            self._by_name.setdefault(self._parts(path.name)[-1], []).append((path, split))

    def _parts(self, listed: str) -> list[str]:
        parts = name_key(listed.replace("\\", "/")).split("/")
        if self._by_stem:
            parts[-1] = parts[-1].rpartition(".")[0] or parts[-1]
        return parts

    def find(self, listed: str, split: str | None) -> list[Path]:
        """The images that a listed path may mean, the best matches: none, one, or several.

        Args:
            listed: path in the annotation file; a match of more folders is better.
            split: the split of the annotation; images of another split do not match.
        """
        parts = self._parts(listed)
        best: list[Path] = []
        most = 0
        for path, own in self._by_name.get(parts[-1], ()):
            if split is not None and own not in (None, split):
                continue
            found = self._parts(path.relative_to(self.root).as_posix())
            common = _common_end(parts, found)
            if common > most:
                best, most = [], common
            if common == most:
                best.append(path)
        return best


_NOT_IMAGES = frozenset({"masks", "mask", "ann_dir", "segmentationclass", "segmentationobject"})


def _common_end(first: list[str], second: list[str]) -> int:
    """Number of equal parts at the end of two paths."""
    count = 0
    for one, other in zip(reversed(first), reversed(second)):
        if one != other:
            break
        count += 1
    return count

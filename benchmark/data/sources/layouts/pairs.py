"""Folders of images beside folders of masks, or of clean frames beside noisy ones."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from benchmark.data.formats.list_files import name_key
from benchmark.data.frame import Frame, UnreadableFrame
from benchmark.data.sources.files import FolderSource, list_folders, walk_images
from benchmark.data.sources.layouts.base import (
    IMAGE_FOLDERS,
    MASK_FOLDERS,
    Layout,
    Sample,
    named,
    titled,
)
from benchmark.data.splits import SPLITS, split_named
from benchmark.errors import InputError

if TYPE_CHECKING:
    from typing import Self

    import numpy as np

CLEAN_FOLDERS = ("clean", "reference", "target", "full_dose", "high_dose")
NOISY_FOLDERS = ("noisy", "degraded", "low_dose", "input", *IMAGE_FOLDERS)
_INDICES = "mask: class indices; name the classes, --option classes=NAME,NAME"
_MASK_ENDINGS = ("_mask", "_gt", "_label", "_seg")


class FolderPair(NamedTuple):
    """Two folders with files of the same names."""

    split: str | None
    first: Path
    second: Path


def find_pairs(
    root: Path, first: Collection[str], second: Collection[str]
) -> tuple[list[FolderPair], str]:
    """Pairs of folders with these names, in the order of the splits, and a title of the layout.

    Accepted layouts: ``{split}/{first,second}``, ``first/{split}`` + ``second/{split}``, and
    ``first`` + ``second`` without splits.

    Raises:
        InputError: several folders may be meant, or one has a split that the other lacks.
    """
    inside = []
    for folder in list_folders(root):
        split, pair = split_named(folder.name), _pair_in(folder, first, second)
        if split and pair:
            inside.append(FolderPair(split, *pair))
    pair = _pair_in(root, first, second)
    if inside and pair:
        raise InputError(
            f"{root}: holds both {inside[0].first.relative_to(root)} and {pair[0].name}, with "
            f"{pair[1].name} beside it; keep one of the two layouts"
        )
    if inside:
        names = titled([inside[0].first.name, inside[0].second.name])
        _refuse_repeated([(found.split, found.first.parent) for found in inside])
        inside = _in_order(inside)
        return inside, f"{titled(found.first.parent.name for found in inside)}/{names}"
    if pair is None:
        return [], ""
    splits = [_split_folders(folder) for folder in pair]
    if not any(splits):
        return [FolderPair(None, *pair)], f"{pair[0].name} + {pair[1].name}"
    for one, other in (pair, pair[::-1]):
        missing = _split_folders(one).keys() - _split_folders(other).keys()
        if missing:
            split = min(missing, key=SPLITS.index)
            raise InputError(
                f"{other}: no folder for {split}, which {one} has; add {other.name}/{split}, or "
                f"move {one.name}/{_split_folders(one)[split].name} elsewhere"
            )
    pairs = [FolderPair(split, folder, splits[1][split]) for split, folder in splits[0].items()]
    halves = (
        f"{f.name}/{titled(s.name for s in found.values())}" for f, found in zip(pair, splits)
    )
    return pairs, " + ".join(halves)


def _pair_in(
    folder: Path, first: Collection[str], second: Collection[str]
) -> tuple[Path, Path] | None:
    """The two folders in `folder`, if both are there."""
    found = []
    for names in (first, second):
        # Annotations may be JSON or XML files instead.
        folders = [entry for entry in named(folder, names) if any(walk_images(entry))]
        if len(folders) > 1:
            raise InputError(
                f"{folder}: {folders[0].name} and {folders[1].name} may both be meant; keep one"
            )
        found += folders
    return (found[0], found[1]) if len(found) == 2 and found[0] != found[1] else None


def _split_folders(folder: Path) -> dict[str, Path]:
    """The folders of the splits in `folder`, in the order of the splits."""
    found = [(split, entry) for entry in list_folders(folder) if (split := split_named(entry.name))]
    _refuse_repeated(found)
    return dict(sorted(found, key=lambda entry: SPLITS.index(entry[0])))


def _refuse_repeated(folders: list[tuple[str | None, Path]]) -> None:
    seen: dict[str | None, Path] = {}
    for split, folder in folders:
        if seen.setdefault(split, folder) != folder:
            raise InputError(f"{folder}: a second {split} folder, besides {seen[split]}; keep one")


def _in_order(pairs: list[FolderPair]) -> list[FolderPair]:
    return sorted(pairs, key=lambda pair: SPLITS.index(str(pair.split)))


class _PairLayout(Layout):
    """Files with the same path below two folders, whatever their extension."""

    first_folders: ClassVar[tuple[str, ...]]
    second_folders: ClassVar[tuple[str, ...]]

    def __init__(
        self, source: FolderSource, root: Path, pairs: list[FolderPair], title: str
    ) -> None:
        super().__init__(source, root)
        self.pairs = pairs
        self.title = title
        self.splits = frozenset(pair.split for pair in pairs)

    @classmethod
    def find(cls, source: FolderSource, root: Path, problems: list[str]) -> Self | None:
        pairs, title = find_pairs(root, cls.first_folders, cls.second_folders)
        return cls(source, root, pairs, title) if pairs else None

    def samples(self) -> Iterator[Sample]:
        for split, first, second in self.pairs:
            stems = {_key(path, first) for path in walk_images(first)}

            def key(
                path: Path, first: Path = first, second: Path = second, stems: set[str] = stems
            ) -> str:
                if path.is_relative_to(first):
                    return _key(path, first)
                found = _key(path, second)
                bare = found.removesuffix(next(filter(found.endswith, _MASK_ENDINGS), ""))
                return bare if found not in stems and bare in stems else found

            for image, annotation in self.source.pair(walk_images(first), walk_images(second), key):
                name = image.relative_to(first).as_posix()
                yield Sample(split, image, self.source.relative(annotation), name)

    def images(self) -> Iterator[Path]:
        for _, images, _ in self.pairs:
            yield from walk_images(images)


def _key(path: Path, folder: Path) -> str:
    return name_key(path.relative_to(folder).with_suffix("").as_posix())


class MaskLayout(_PairLayout):
    """Images and masks: one class is read by the rule of `benchmark.data.formats.masks`, several as
    class indices, see `benchmark.data.formats.label_maps`.
    """

    kind = "masks"
    forms = ("segmentation",)
    first_folders, second_folders = IMAGE_FOLDERS, MASK_FOLDERS
    classes = ("vessel",)

    def select_classes(self, classes: tuple[str, ...]) -> None:
        # mmsegmentation lists the background as a class.
        self.classes = classes[1:] if classes[0].casefold() == "background" else classes
        if not 0 < len(self.classes) < 32:
            raise InputError(f"option classes={','.join(classes)}: name 1 to 31 classes")

    def read_masks(self, frame: Frame) -> np.ndarray:
        from benchmark.data.formats.headers import read_header
        from benchmark.data.formats.label_maps import is_label_map, read_label_map
        from benchmark.data.formats.orientation import orient_masks

        header = read_header(self.root / frame.path)
        if len(self.classes) == 1:
            try:
                masks = FolderSource.read_masks(self.source, frame)
            except UnreadableFrame:
                if is_label_map(self.root / str(frame.annotation)):
                    raise UnreadableFrame(_INDICES) from None
                raise
        else:
            try:
                masks = read_label_map(self.root / str(frame.annotation), len(self.classes))
            except UnreadableFrame as error:
                raise UnreadableFrame(f"mask: {error}") from None
            if header and header.annotated_size(masks.shape[1:]) != header.size:
                masks = orient_masks(masks, header.orientation)
        if header and masks.shape[1:] != header.size:
            raise UnreadableFrame("mask and image differ in size")
        return masks


class CleanLayout(_PairLayout):
    """Clean frames and noisy ones of the same scene, for denoising."""

    kind = "clean"
    forms = ("denoising",)
    first_folders, second_folders = CLEAN_FOLDERS, NOISY_FOLDERS

    def images(self) -> Iterator[Path]:
        yield from super().images()
        for _, _, noisy in self.pairs:
            yield from walk_images(noisy)

    def read_degraded(self, frame: Frame) -> np.ndarray:
        from dataclasses import replace

        return self.source.read(replace(frame, path=str(frame.annotation)))

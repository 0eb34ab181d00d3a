"""What the datasets composed of others, XA-170K and XA-20K, have in common."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.data.frame import Frame
from benchmark.data.sources.files import FolderSource, Raw, find_root, list_folders
from benchmark.data.sources.xcad import Xcad
from benchmark.errors import InputError, one_of

if TYPE_CHECKING:
    import numpy as np

    from benchmark.data.formats.white_levels import Apply


def part_folders(
    raw: Raw | Mapping[str, Raw],
    parts: Collection[str],
    spellings: Mapping[str, str],
    expected: str,
) -> dict[str, Path]:
    """Folders of the parts: those the user named, or those found in one folder.

    Args:
        parts: names that the user may give.
        spellings: name of a folder → part; case, spaces, ``_`` and ``-`` do not matter.
        expected: for the message, as in `find_root`.

    Raises:
        InputError: no folder, an unknown part, or a folder without any part.
    """
    if isinstance(raw, Mapping):
        folders = {one_of("part", name, parts): Path(raw[name]) for name in raw}
        if not folders:
            raise InputError(f"no folder given: this reads {expected}")
        return folders

    def parts_in(folder: Path) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for entry in list_folders(folder):
            name = spellings.get(re.sub(r"[\s_-]", "", entry.name.casefold()))
            if name is not None:
                found.setdefault(name, entry)
        return found

    return parts_in(find_root(raw, lambda folder: bool(parts_in(folder)), expected))


class TrainingXcad(Xcad):
    """XCAD without its test set, which no composed dataset contains."""

    walk = Xcad.train_frames


class ComposedSource(FolderSource):
    """Base class of the datasets that are composed of others.

    `Frame.source` is the part's name, `Frame.path` begins with it. From a part with splits, only
    those that a pack of it holds by default (`Source.pack_splits`) are taken; the others are set
    aside and counted.

    Attributes:
        title: name of the dataset, as published.
    """

    title: str

    def __init__(self) -> None:
        super().__init__()
        self._parts: dict[str, FolderSource] = {}
        self._missing: list[str] = []

    def split_of(self, frame: Frame) -> str | None:
        """Split of a frame of a part in this dataset."""
        return None

    def walk(self) -> Iterator[Frame]:
        for name in self._missing:
            self.report.add(f"part of {self.title} missing", name)
        for name, part in self._parts.items():
            for frame in part.frames():
                if part.pack_splits is None or frame.split in part.pack_splits:
                    yield dataclasses.replace(
                        frame,
                        path=f"{name}/{frame.path}",
                        split=self.split_of(frame),
                        annotation=None,
                    )
                else:
                    self.report.set_aside[f"{name}, {frame.split or 'no split'}"] += 1
            for reason, path in part.report.items:
                self.report.add(reason, f"{name}/{path}")
            self.report.set_aside.update(part.report.set_aside)

    def read(self, frame: Frame) -> np.ndarray:
        name, _, path = frame.path.partition("/")
        part = self._parts[name]
        try:
            return part.read(dataclasses.replace(frame, path=path))
        finally:
            self.notes += [(reason, f"{name}/{where}") for reason, where in part.notes]
            part.notes.clear()

    def prepare(self, frames: Iterable[Frame], apply: Apply) -> None:
        for name, run in itertools.groupby(frames, lambda frame: frame.path.partition("/")[0]):
            bare = (dataclasses.replace(f, path=f.path.partition("/")[2]) for f in run)
            self._parts[name].prepare(bare, apply)

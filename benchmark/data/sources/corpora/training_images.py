"""The training images of a dataset, without those that are test images."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from benchmark.data.frame import Frame, UnreadableFrame
from benchmark.data.sources.files import FolderSource

if TYPE_CHECKING:
    import numpy as np

TEST_COPY = "training image is a test image"

_BLOCK = 256

_Entry = tuple[Frame, FolderSource]


class TrainingImages(FolderSource):
    """The frames of one or more subsets of a dataset, each with splits of its own.

    A training image is dropped and reported if its pixels equal those of a test image of any
    subset, or if it is a near-duplicate (see `benchmark.data.checks.near_duplicates`) of a test
    image of another subset: ARCADE's two subsets share some 460 images, saved in different ways.
    Similar images of one subset are kept, since its split is published.

    Args:
        subsets: their readers, with the same root; a pack of them holds the split ``train``.
    """

    pack_splits = ("train",)

    def __init__(self, *subsets: FolderSource) -> None:
        super().__init__()
        self._subsets = subsets
        self.name, self.root = subsets[0].name, subsets[0].root

    def walk(self) -> Iterator[Frame]:
        entries: list[_Entry] = []
        for subset in self._subsets:
            entries += [(frame, subset) for frame in subset.frames()]
            self.report.items += subset.report.items
        copies = _test_copies(entries)
        for frame, _ in entries:
            if frame.path in copies:
                self.report.add(TEST_COPY, f"{frame.path} = {copies[frame.path]}")
            else:
                yield frame


def _test_copies(entries: list[_Entry]) -> dict[str, str]:
    """Path of each training image that is a test image → path of that one."""
    # Imported here, so that command lines can list the sources without loading numpy.
    from benchmark.data.checks.near_duplicates import NearDuplicates
    from benchmark.data.image_hashes import pixel_sha256
    from benchmark.data.progress import progress_bar
    from benchmark.data.selection import read_usable

    several = len({id(subset) for _, subset in entries}) > 1
    compared = [entry for entry in entries if entry[0].split in ("train", "test")]

    with progress_bar("compare with test images", len(compared)) as advance:

        def images(split: str) -> Iterator[tuple[Frame, FolderSource, np.ndarray]]:
            for frame, subset in compared:
                if frame.split == split:
                    advance(1)
                    # Unreadable images get into no pack and no task; building those reports them.
                    with contextlib.suppress(UnreadableFrame):
                        yield frame, subset, read_usable(subset, frame)

        tests: list[_Entry] = []
        by_pixels: dict[str, Frame] = {}

        def pixels_of_others() -> Iterator[np.ndarray]:
            for frame, subset, pixels in images("test"):
                by_pixels.setdefault(pixel_sha256(pixels), frame)
                if several:
                    tests.append((frame, subset))
                    yield pixels

        known = NearDuplicates(pixels_of_others())
        copies: dict[str, str] = {}
        training = images("train")
        while block := list(itertools.islice(training, _BLOCK)):
            for frame, _, pixels in block:
                if (test := by_pixels.get(pixel_sha256(pixels))) is not None:
                    copies[frame.path] = test.path
            for match in known.find([pixels for *_, pixels in block]) if several else ():
                frame, subset, _ = block[match.query]
                test, test_subset = tests[match.row]
                if subset is not test_subset:
                    copies.setdefault(frame.path, test.path)
    return copies

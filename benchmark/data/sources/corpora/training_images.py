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

    A training image that is a near-duplicate (see `benchmark.data.checks.near_duplicates`) of a
    test image of another subset is dropped and reported: ARCADE's two subsets share some 460
    images, saved in different ways. Similar images of one subset are kept, since its split is
    published. Training images with the pixels of a test image are left to the corpus, which
    compares the frames of all its parts with `test_images`.

    Args:
        subsets: their readers, with the same root; a pack of them holds the split ``train``.

    Attributes:
        test_images: `pixel_sha256` of every readable test image; set by `frames`.
    """

    pack_splits = ("train",)

    def __init__(self, *subsets: FolderSource) -> None:
        super().__init__()
        self._subsets = subsets
        self.name, self.root = subsets[0].name, subsets[0].root
        self.test_images: frozenset[str] = frozenset()

    def walk(self) -> Iterator[Frame]:
        entries: list[_Entry] = []
        for subset in self._subsets:
            entries += [(frame, subset) for frame in subset.frames()]
            self.report.items += subset.report.items
        self.test_images, copies = _compare(entries, len(self._subsets) > 1)
        for frame, _ in entries:
            if frame.path in copies:
                self.report.add(TEST_COPY, f"{frame.path} = {copies[frame.path]}")
            else:
                yield frame


def _compare(entries: list[_Entry], several: bool) -> tuple[frozenset[str], dict[str, str]]:
    """Hashes of the test images; training image → near-duplicate test image of another subset.

    With one subset (not `several`), training images are not read.
    """
    # Imported here, so that command lines can list the sources without loading numpy.
    from benchmark.data.checks.near_duplicates import NearDuplicates
    from benchmark.data.image_hashes import pixel_sha256
    from benchmark.data.progress import progress_bar
    from benchmark.data.selection import read_usable

    splits = ("train", "test") if several else ("test",)
    compared = [entry for entry in entries if entry[0].split in splits]

    with progress_bar("compare with test images", len(compared)) as advance:

        def images(split: str) -> Iterator[tuple[Frame, FolderSource, np.ndarray]]:
            for frame, subset in compared:
                if frame.split == split:
                    advance(1)
                    # Unreadable images get into no pack and no task; building those reports them.
                    with contextlib.suppress(UnreadableFrame):
                        yield frame, subset, read_usable(subset, frame)

        tests: list[_Entry] = []
        hashes: set[str] = set()

        def test_pixels() -> Iterator[np.ndarray]:
            for frame, subset, pixels in images("test"):
                hashes.add(pixel_sha256(pixels))
                if several:
                    tests.append((frame, subset))
                    yield pixels

        known = NearDuplicates(test_pixels())
        copies: dict[str, str] = {}
        training = images("train")
        while block := list(itertools.islice(training, _BLOCK)):
            for match in known.find([pixels for *_, pixels in block]):
                frame, subset, _ = block[match.query]
                test, test_subset = tests[match.row]
                if subset is not test_subset:
                    copies.setdefault(frame.path, test.path)
    return frozenset(hashes), copies

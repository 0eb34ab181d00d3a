"""XA-20K: the pre-training dataset of 20,650 frames of VasoMIM's conference paper (Huang et al.,
AAAI 2026; arXiv 2508.10794).

It is composed here of five public downloads: the 1,000 training images of each of ARCADE's two
subsets, CADICA (6,594 frames), the 7,492 training frames of the stenosis dataset, SYNTAX (2,943)
and XCAD's training set (1,621).
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from benchmark.data.frame import Frame, UnreadableFrame
from benchmark.data.sources.arcade import Arcade
from benchmark.data.sources.cadica import Cadica, SelectionRule
from benchmark.data.sources.corpora.composition import ComposedSource, TrainingXcad, part_folders
from benchmark.data.sources.files import FolderSource, Raw
from benchmark.data.sources.folder import GroupRule
from benchmark.data.sources.stenosis import DanilovStenosis
from benchmark.data.sources.syntax import Syntax
from benchmark.errors import InputError
from benchmark.files import sha256_json

if TYPE_CHECKING:
    import numpy as np

DOWNLOADS = {
    "arcade": "https://zenodo.org/records/10390295",
    "cadica": "https://data.mendeley.com/datasets/p9bpx9ctcv",
    "stenosis": "https://data.mendeley.com/datasets/ydrm75xywg",
    "syntax": "https://doi.org/10.6084/m9.figshare.25801447",
    "xcad": "https://github.com/AISIGSJTU/SSVS",
}
"""Part → page of its download."""

# Names of the parts' folders, without case, spaces, ``_`` and ``-``: of the parts, of the archives
# and of the folders in them.
_SPELLINGS = {
    **{name: name for name in DOWNLOADS},
    "arcadechallengedatasets": "arcade",
    "arcadedataset": "arcade",
    "p9bpx9ctcv": "cadica",
    "stenosisdetection": "stenosis",
    "danilov": "stenosis",
    "ydrm75xywg": "stenosis",
    "ydrm75xywg1": "stenosis",
    "ydrm75xywg2": "stenosis",
    "25801447": "syntax",
}
_EXPECTED = f"XA-20K (a folder with the downloads {', '.join(DOWNLOADS)})"

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


class Xa20k(ComposedSource):
    """Reader of XA-20K.

    No frame of any part has the pixels of a test image of ARCADE or of the stenosis dataset, as far
    as these two are among the folders: `read` refuses it as `TEST_COPY`. Near-duplicates of test
    images are dropped between ARCADE's two subsets only (see `TrainingImages`); elsewhere, the
    leakage check reports them.

    Args:
        raw: folder with one folder per download: ``arcade``, ``cadica``, ``stenosis``, ``syntax``
            and ``xcad``, in any case, or as their archives name them; or a folder for each, by
            name, of which some may be left out.
        cadica_rule: which frames of CADICA are used; see `Cadica`.
        syntax_group: how the patients of SYNTAX are identified; see `Folder`.
        stenosis_split: whose training frames are used; see `DanilovStenosis`. The ``official``
            split is the published one, although its training and test frames share patients.
        stenosis_seed: seed of the split by patient.

    Raises:
        InputError: the folder lacks a part.
    """

    name = "xa20k"
    title = "XA-20K"
    expected = {
        "frames": 20650,
        "arcade": 2000,
        "cadica": 6594,
        "stenosis": 7492,
        "syntax": 2943,
        "xcad": 1621,
    }

    def __init__(
        self,
        raw: Raw | Mapping[str, Raw],
        *,
        cadica_rule: SelectionRule = "selected_frames",
        syntax_group: GroupRule = "auto",
        stenosis_split: Literal["official", "patient"] = "official",
        stenosis_seed: int = 0,
    ) -> None:
        super().__init__()
        self.options = {
            "cadica_rule": cadica_rule,
            "syntax_group": syntax_group,
            "stenosis_split": stenosis_split,
        }
        if stenosis_split == "patient":
            self.options["stenosis_seed"] = stenosis_seed
        folders = part_folders(raw, DOWNLOADS, _SPELLINGS, _EXPECTED)
        self._missing = [name for name in DOWNLOADS if name not in folders]
        if self._missing and not isinstance(raw, Mapping):
            pages = ", ".join(f"{name} ({DOWNLOADS[name]})" for name in self._missing)
            raise InputError(
                f"{raw}: holds no folder {pages} of XA-20K; download it there, or name the parts "
                "to use as NAME=DIR"
            )
        options = {"split": stenosis_split, "seed": stenosis_seed}
        readers = {
            "arcade": lambda raw: TrainingImages(
                Arcade(raw, task="arcade_v"), Arcade(raw, task="arcade_s")
            ),
            "cadica": lambda raw: Cadica(raw, rule=cadica_rule),
            "stenosis": lambda raw: TrainingImages(DanilovStenosis(raw, **options)),
            "syntax": lambda raw: Syntax(raw, group=syntax_group),
            "xcad": TrainingXcad,
        }
        self._parts = {
            name: read(folders[name]) for name, read in readers.items() if name in folders
        }
        self._test_images: frozenset[str] = frozenset()

    def walk(self) -> Iterator[Frame]:
        # Walk all parts first: test images are known only then, and any part may contain them.
        frames = list(super().walk())
        parts = (part for part in self._parts.values() if isinstance(part, TrainingImages))
        self._test_images = frozenset().union(*(part.test_images for part in parts))
        # Different test images leave different frames, so a pack has to be rebuilt.
        self.options["test_images"] = sha256_json(sorted(self._test_images))
        yield from frames

    def read(self, frame: Frame) -> np.ndarray:
        """As `Source.read`; a frame with the pixels of a test image is unreadable."""
        from benchmark.data.image_hashes import pixel_sha256

        pixels = super().read(frame)
        if pixel_sha256(pixels) in self._test_images:
            raise UnreadableFrame(TEST_COPY)
        return pixels

"""XA-20K: the pre-training dataset of 20,650 frames of VasoMIM's conference paper (Huang et al.,
AAAI 2026; arXiv 2508.10794).

It is composed here of five public downloads: the 1,000 training images of each of ARCADE's two
subsets, CADICA (6,594 frames), the 7,492 training frames of the stenosis dataset, SYNTAX (2,943)
and XCAD's training set (1,621).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from benchmark.data.frame import Frame, UnreadableFrame
from benchmark.data.sources.arcade import Arcade
from benchmark.data.sources.cadica import Cadica, SelectionRule
from benchmark.data.sources.corpora.composition import ComposedSource, TrainingXcad, part_folders
from benchmark.data.sources.corpora.training_images import TEST_COPY, TrainingImages
from benchmark.data.sources.files import Raw
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

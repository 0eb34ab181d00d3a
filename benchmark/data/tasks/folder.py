"""Reading a downstream task from its folder of plain files.

::

    manifest.json              what is here: splits, groups, hashes, where the split comes from
    report.json                everything that was skipped, by reason
    images/<split>/<stem>.png  8-bit grayscale, native size (denoising: the degraded frame)
    masks/<split>/<stem>.png   segmentation: 8-bit labels, 0 background, k the k-th class
    annotations/<split>.json   COCO: boxes (detection), or one RLE for each class (several classes)
    clean/<split>/<stem>.png   denoising: the frame before it was degraded
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from benchmark.data.formats.list_files import nfc, read_list_file
from benchmark.data.splits import nested_draw, nested_subset
from benchmark.data.task_status import split_hash
from benchmark.errors import InputError
from benchmark.files import read_json
from benchmark.schemas import Count, Schema, TaskKind, Text, validate, version_type

if TYPE_CHECKING:
    import numpy as np

MANIFEST = "manifest.json"
REPORT = "report.json"

TaskItem = dict[str, Any]

SCHEMA = "angiogram-task/1"


def _check_file_name(name: str) -> str:
    if name in {".", ".."} or Path(name).name != name:
        raise ValueError("must be the name of a file")
    return name


FileName = Annotated[str, AfterValidator(_check_file_name)]
Side = Annotated[int, Field(ge=1)]
#: x0, y0, x1, y1 in pixels, and the index of the class.
Box = Annotated[list[float], Field(min_length=5, max_length=5)]


class ManifestItem(Schema):
    """One image of a task; see `TaskFolder` for the keys."""

    stem: FileName
    path: str
    group: str | None
    height: Side
    width: Side
    sha256_image: Text
    phash: Text
    sha256_mask: Text | None = None
    sha256_channels: Text | None = None
    boxes: list[Box] | None = None
    level: Count | None = None
    sha256_degraded: Text | None = None


class SplitOrigin(Schema):
    """Where the split comes from, and whether it is the dataset's own."""

    origin: str
    official: bool


class TaskManifest(Schema):
    """``manifest.json`` of a task folder; see `TaskFolder` for the keys."""

    remedy: ClassVar[str] = "make it again with tools/prepare_data.py"

    schema_version: version_type(SCHEMA) = Field(SCHEMA, alias="schema")
    kind: TaskKind
    task: Text
    classes: list[str]
    plan_hash: Text
    parameters: dict[str, Any]  # with the frames, the input of the plan hash
    splits: dict[FileName, list[ManifestItem]]
    split_hash: Text
    split: SplitOrigin
    counts: dict[str, Any]  # of frames, groups and annotations
    skipped: dict[str, dict[str, Any]]  # reason → count and examples
    intensity: dict[str, dict[str, Any]] = {}


class TaskFolder:
    """A finished downstream task.

    Attributes:
        path: the folder.
        kind: ``"segmentation"``, ``"detection"`` or ``"denoising"``.
        task: name of the task, e.g. ``"arcade_v"``.
        classes: names of the classes by label; label 0 of a segmentation is the background.
        splits: split name → items. Every item has ``stem``, ``path`` (in the raw data), ``group``,
            ``height``, ``width``, ``sha256_image`` and ``phash``; the last two are those of the
            (clean) frame, computed as in a pack, so that tasks compare with packs. Segmentation
            adds ``sha256_mask``, with several classes ``sha256_channels``; detection ``boxes``
            (N lists x0, y0, x1, y1, class); denoising ``level`` and ``sha256_degraded``.
        split_hash: identity of all of that.
        manifest: content of manifest.json.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest
        self.kind: str = manifest["kind"]
        self.task: str = manifest["task"]
        self.classes: list[str] = manifest["classes"]
        self.splits: dict[str, list[TaskItem]] = manifest["splits"]
        self.split_hash: str = manifest["split_hash"]
        self._read: dict[str, dict[str, tuple[int, int, list[tuple[int, Any]]]]] = {}

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], kind: str | None = None, complete: bool = True
    ) -> TaskFolder:
        """Open a folder and check that it is what its manifest says.

        Args:
            path: the folder.
            kind: the kind of task that is needed; None takes any.
            complete: every listed file has to be there.

        Raises:
            InputError: it is not, or is a task of another kind.
        """
        path = Path(path)
        if not path.is_dir():
            raise InputError(f"{path}: no such folder; make it with tools/prepare_data.py")
        if not (path / MANIFEST).is_file():
            raise InputError(f"{path}: not a task folder ({MANIFEST} is missing)")
        manifest = read_json(path / MANIFEST)
        validate(TaskManifest, manifest, path / MANIFEST)
        known = (manifest["kind"], manifest["classes"], manifest["splits"])
        if manifest["split_hash"] != split_hash(*known):
            raise InputError(f"{path / MANIFEST}: the lists were changed by hand; make it again")
        folder = cls(path, manifest)
        if kind is not None and folder.kind != kind:
            raise InputError(f"{path}: a {folder.kind} task, but {kind} is needed")
        for file in folder.files() if complete else ():
            if not file.is_file():
                raise InputError(f"{file}: missing from the task folder")
        return folder

    def image(self, split: str, stem: str) -> Path:
        """The image a model gets."""
        return self.path / "images" / split / f"{stem}.png"

    def mask(self, split: str, stem: str) -> Path:
        """Label map of a segmentation; where classes overlap, the last one."""
        return self.path / "masks" / split / f"{stem}.png"

    def clean(self, split: str, stem: str) -> Path:
        """What a denoised image is compared with."""
        return self.path / "clean" / split / f"{stem}.png"

    def coco(self, split: str) -> Path | None:
        """COCO annotations: detection, and segmentation with several classes; None otherwise."""
        if self.kind == "detection" or self.has_overlaps:
            return self.path / "annotations" / f"{split}.json"
        return None

    def channels(self, split: str, stem: str) -> np.ndarray:
        """One mask for each class without the background, bool C×H×W; they may overlap."""
        import numpy as np
        from PIL import Image

        if not self.has_overlaps:
            with Image.open(self.mask(split, stem)) as image:
                labels = np.array(image)
            return labels == np.arange(1, len(self.classes), dtype=np.uint8)[:, None, None]
        from pycocotools import mask as rle

        height, width, runs = self._runs(split)[stem]
        masks = np.zeros((len(self.classes) - 1, height, width), dtype=bool)
        for category, coded in runs:
            masks[category - 1] |= rle.decode(coded).astype(bool)
        return masks

    def _runs(self, split: str) -> dict[str, tuple[int, int, list[tuple[int, Any]]]]:
        """Stem → height, width and (category, run lengths) of a split; read once."""
        if split not in self._read:
            path = self.path / "annotations" / f"{split}.json"
            content = read_json(path)
            try:
                by_id = {
                    image["id"]: (image["file_name"], image["height"], image["width"], [])
                    for image in content["images"]
                }
                for entry in content["annotations"]:
                    runs = by_id[entry["image_id"]][3]
                    runs.append((entry["category_id"], entry["segmentation"]))
            except (KeyError, TypeError) as error:
                raise InputError(f"{path}: not the file that was written ({error!r})") from None
            self._read[split] = {
                Path(name).stem: (height, width, runs)
                for name, height, width, runs in by_id.values()
            }
        return self._read[split]

    @property
    def has_overlaps(self) -> bool:
        """Whether a pixel may be of several classes, which only the COCO file can say."""
        return self.kind == "segmentation" and len(self.classes) > 2

    def files(self) -> list[Path]:
        """Every file that has to be there, beside manifest and report."""
        companion = {"segmentation": self.mask, "denoising": self.clean}.get(self.kind)
        found = []
        for split, items in self.splits.items():
            found += [self.image(split, item["stem"]) for item in items]
            if companion is not None:
                found += [companion(split, item["stem"]) for item in items]
            if (annotations := self.coco(split)) is not None:
                found.append(annotations)
        return found


def labelled(
    folder: TaskFolder,
    split: str,
    fraction: float = 1.0,
    count: int | None = None,
    seed: int = 0,
) -> list[TaskItem]:
    """The items of a share or a number of the labels of a split, in the order of the split.

    A share consists of complete patients, and is the same for every seed. A number is met exactly:
    patients are drawn one after the other, with all of their images except for the last patient. An
    image of an unknown patient counts as a patient of its own. Subsets are nested: the images of a
    smaller draw of the same seed are among those of a larger one.

    Args:
        folder: the prepared task.
        split: ``"train"``, usually; no other split is used.
        fraction: share of the images.
        count: number of images; None for the share.
        seed: seed of the draw, which depends only on it and the names of patients and images.

    Raises:
        InputError: there is no such split, the share is not above 0 and at most 1, the number
            exceeds the split, or both were set.
    """
    if split not in folder.splits:
        found = ", ".join(sorted(folder.splits))
        raise InputError(f"{folder.path}: has no split {split!r}, only {found}; make it with one")
    items = folder.splits[split]
    groups = {item["stem"]: item["group"] or item["stem"] for item in items}
    if count is None:
        chosen = nested_subset(Counter(groups.values()), fraction, seed=0)
        return [item for item in items if groups[item["stem"]] in chosen]
    if fraction != 1:
        raise InputError(f"label_count={count} with label_fraction={fraction:g}: set one of them")
    if count > len(items):
        raise InputError(
            f"{folder.path}: {len(items)} images in {split}, but --label-count {count} asks for "
            "more"
        )
    drawn = nested_draw(groups, count, seed)
    return [item for item in items if item["stem"] in drawn]


def read_groups(paths: Iterable[str | os.PathLike[str]]) -> set[str]:
    """Patients and studies of task folders, and those listed in text files, one per line.

    Raises:
        InputError: a path that is neither, a file that is not text (see `read_list_file`), or one
            without any group: excluding nothing would look as if it had worked.
    """
    found: set[str] = set()
    for path in map(Path, paths):
        if path.is_file():
            groups = {nfc(line.strip()) for line in read_list_file(path).splitlines()} - {""}
        else:
            splits = TaskFolder.open(path).splits
            groups = {item["group"] for items in splits.values() for item in items} - {None}
        if not groups:
            raise InputError(f"{path}: names no patient or study, so that it excludes nothing")
        found |= groups
    return found

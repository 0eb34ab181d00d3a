"""The schema of the manifest of a task folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from benchmark.schemas import Count, Schema, TaskKind, Text, version_type

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
    """One image of a task; see `benchmark.data.tasks.folder.TaskFolder` for the keys."""

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
    """``manifest.json`` of a task folder.

    Attributes:
        kind, task, classes, splits, split_hash: see `benchmark.data.tasks.folder.TaskFolder`.
        plan_hash, parameters: what the folder was built from.
        split: origin of the split.
        counts: numbers of frames, groups and annotations.
        skipped, intensity: reason → count and examples.
        schema_version: version of this layout; the key ``schema`` of the file.
    """

    remedy: ClassVar[str] = "make it again with tools/prepare_data.py"

    schema_version: version_type(SCHEMA) = Field(SCHEMA, alias="schema")
    kind: TaskKind
    task: Text
    classes: list[str]
    plan_hash: Text
    parameters: dict[str, Any]
    splits: dict[FileName, list[ManifestItem]]
    split_hash: Text
    split: SplitOrigin
    counts: dict[str, Any]
    skipped: dict[str, dict[str, Any]]
    intensity: dict[str, dict[str, Any]] = {}

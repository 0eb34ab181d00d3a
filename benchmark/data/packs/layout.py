"""The files of a pack: names, columns of the index, schema of the manifest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from benchmark.files import sha256_json
from benchmark.schemas import Count, Schema, version_type

SCHEMA = "angiogram-pack/1"
FRAMES = "frames.u8"
ANATOMY = "anatomy.u1"
INDEX = "index.parquet"
MANIFEST = "manifest.json"
REPORT = "report.json"

TEXT_COLUMNS = ("source", "path", "group", "video", "split", "sha256", "phash")
NUMBER_COLUMNS = ("frame", "height", "width", "valid_height", "valid_width")


class SkipSummary(Schema):
    """Number of skips for one reason, and the first paths."""

    count: Count
    examples: list[str]


class PackParameters(Schema):
    """Options of the source and of the pack, which determine its content."""

    model_config = ConfigDict(extra="allow")

    size: Annotated[int, Field(ge=8, multiple_of=8)]


class AnatomyEntry(Schema):
    """How the vessel masks were computed, and the hash of their file."""

    parameters: Any
    sha256: str


class PackManifest(Schema):
    """``manifest.json`` of a pack."""

    remedy = "make it again with tools/prepare_data.py"

    schema_version: version_type(SCHEMA) = Field(SCHEMA, alias="schema")
    plan_hash: str
    versions: dict[str, str] = {}
    corpus_hash: str
    parameters: PackParameters
    counts: dict[str, Any]
    split: dict[str, Any] = {}
    skipped: dict[str, SkipSummary]
    intensity: dict[str, SkipSummary] = {}
    anatomy: AnatomyEntry | None = None


def hash_frames(parameters: dict[str, Any], pixel_hashes: Sequence[str]) -> str:
    """The ``corpus_hash`` of a pack: native pixels (`pixel_sha256`) in order, and resizing."""
    resizing = {key: parameters[key] for key in ("size", "resize")}
    return sha256_json({"parameters": resizing, "pixels": list(pixel_hashes)})

"""Names and columns of the files of a pack, and the identity of its frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmark.files import sha256_json

SCHEMA = "angiogram-pack/1"
FRAMES = "frames.u8"
ANATOMY = "anatomy.u1"
INDEX = "index.parquet"
MANIFEST = "manifest.json"
REPORT = "report.json"

TEXT_COLUMNS = ("source", "path", "group", "video", "split", "sha256", "phash")
NUMBER_COLUMNS = ("frame", "height", "width", "valid_height", "valid_width")


def hash_frames(parameters: dict[str, Any], pixel_hashes: Sequence[str]) -> str:
    """The ``corpus_hash`` of a pack: its pixels, in order, and how they were resized.

    Args:
        parameters: those of the pack; ``size`` and ``resize`` count.
        pixel_hashes: SHA-256 of the native pixels of each frame (`pixel_sha256`).
    """
    resizing = {key: parameters[key] for key in ("size", "resize")}
    return sha256_json({"parameters": resizing, "pixels": list(pixel_hashes)})

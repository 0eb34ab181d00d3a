"""Checking a pack: index against pixels, pixels against hashes, and the vessel masks."""

from __future__ import annotations

import os

import numpy as np

from benchmark.data.checks.findings import (
    MAX_VESSEL_FRACTION,
    Findings,
    FrameEntry,
    check_entries,
    check_files,
    index_rows,
    is_constant,
    warn_if_all,
)
from benchmark.data.image_hashes import pixel_sha256
from benchmark.data.packs import FramePack
from benchmark.data.packs.layout import ANATOMY, FRAMES, INDEX, MANIFEST, REPORT, hash_frames
from benchmark.data.packs.reading import unpack_bits
from benchmark.data.progress import progress_bar
from benchmark.files import sha256_file

_BLOCK = 64


def check_pack(path: str | os.PathLike[str], progress: bool = True) -> Findings:
    """Check every frame of a pack.

    Hashes are of native pixels, so they are verified only for frames that were not resized (these
    are counted). Overlapping splits are only a warning, since packs are for pre-training.
    """
    pack = FramePack.open(path)
    findings = Findings(pack.path, "pack", pack.corpus_hash)
    entries = [
        FrameEntry(split, f"{source}/{path}", group, sha256)
        for source, split, path, group, sha256 in index_rows(
            pack.index, "source", "split", "path", "group", "sha256"
        )
    ]
    check_entries(findings, entries, strict=False)
    _check_manifest(pack, entries, findings)
    names = [entry.path for entry in entries]
    with progress_bar(f"check {pack.path.name}", len(pack), 0, progress) as advance:
        for start in range(0, len(pack), _BLOCK):
            rows = np.arange(start, min(start + _BLOCK, len(pack)))
            frames, bits, valid = pack.gather(rows)
            for row, frame, (height, width) in zip(rows.tolist(), frames, valid.tolist()):
                mask = None if bits is None else unpack_bits(bits[row - start])
                _check_frame(pack, row, names[row], frame, (height, width), mask, findings)
            advance(len(rows))
    warn_if_all(findings, "empty vessel masks", "no frame has a vessel mask")
    listed = {MANIFEST, INDEX, FRAMES, REPORT, *([ANATOMY] if pack.has_anatomy else [])}
    check_files(findings, listed)
    return findings


def _check_manifest(pack: FramePack, entries: list[FrameEntry], findings: Findings) -> None:
    pixel_hashes = [entry.sha256 for entry in entries]
    if hash_frames(pack.manifest["parameters"], pixel_hashes) != pack.corpus_hash:
        findings.error("corpus hash does not match the index", MANIFEST)
    if pack.manifest["counts"]["kept"] != len(pack):
        findings.error("number of frames does not match the index", MANIFEST)
    if pack.has_anatomy:
        if sha256_file(pack.path / ANATOMY) != pack.manifest["anatomy"]["sha256"]:
            findings.error("vessel masks differ from their hash", ANATOMY)
    else:
        findings.count("frames without a vessel mask", len(pack))


def _fits(native: tuple[int, int], valid: tuple[int, int], size: int) -> bool:
    """Whether the valid area is the native size scaled so that its longest side is `size`."""
    longest = max(native)
    # Up to half a pixel of rounding, in integers; a very narrow image keeps one pixel.
    return min(native) > 0 and all(
        abs(2 * longest * inside - 2 * size * side) <= longest or inside == 1
        for side, inside in zip(native, valid)
    )


def _check_frame(
    pack: FramePack,
    row: int,
    name: str,
    frame: np.ndarray,
    valid: tuple[int, int],
    mask: np.ndarray | None,
    findings: Findings,
) -> None:
    height, width = valid
    if not (0 < height <= pack.size and 0 < width <= pack.size):
        findings.error("valid area outside the square", name)
        return
    native = tuple(int(pack.index[key].iat[row]) for key in ("height", "width"))
    if not _fits(native, valid, pack.size):
        findings.error("valid area does not match the native size", name)
    inside = frame[:height, :width]
    if frame[height:].any() or frame[:, width:].any():
        findings.error("pixels outside the valid area", name)
    if is_constant(inside):
        findings.error("constant frame", name)
    if native == (height, width):
        findings.count("frames compared with their hash")
        if pixel_sha256(inside) != pack.index["sha256"].iat[row]:
            findings.error("pixels differ from their hash", name)
    if mask is not None:
        findings.count("empty vessel masks", not mask.any())
        if np.count_nonzero(mask) > MAX_VESSEL_FRACTION * inside.size:
            findings.warning("vessel mask: more than half of the frame", name)
        if mask[height:].any() or mask[:, width:].any():
            findings.error("vessel mask outside the valid area", name)

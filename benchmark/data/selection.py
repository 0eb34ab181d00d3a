"""Which frames of a source go into a pack or a task folder, and reading them."""

from __future__ import annotations

import errno
from collections.abc import Collection, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np

from benchmark.data.frame import Frame, SkipReport, Source, UnreadableFrame
from benchmark.data.skips import no_usable_frame
from benchmark.errors import InputError
from benchmark.files import sha256_json

_REASONS = {
    errno.ENOENT: "file missing",
    errno.EACCES: "no permission to read",
    errno.EPERM: "no permission to read",
    errno.EISDIR: "not a file",
    errno.ENOTDIR: "not a file",
    errno.ELOOP: "not a file",
}
"""What the system reports for a file that was removed or replaced since it was listed."""


@dataclass(frozen=True)
class FrameSelection:
    """The selected frames of a source, in its order."""

    source: Source
    frames: list[Frame]
    found: int  # frames that the source yielded
    excluded: int  # frames dropped because of their group
    report: SkipReport  # what the source skipped

    def plan_hash(self, parameters: dict[str, Any]) -> str:
        """Identity of the work: the ordered frames and everything that decides the result."""
        return sha256_json({"frames": list(map(astuple, self.frames)), "parameters": parameters})


def select_frames(
    source: Source,
    splits: Sequence[str] | None = None,
    limit: int | None = None,
    exclude: Collection[str] = (),
) -> FrameSelection:
    """Walk a source once and select frames; a frame whose names are not Unicode is skipped.

    Args:
        source: will be walked.
        splits: original splits to keep; None keeps every frame.
        limit: keep at most this many frames, the first ones.
        exclude: groups whose frames are dropped; groups of other sources may be among them.

    Raises:
        InputError: a split that the source does not have, a limit below 1, or nothing is left.
    """
    if limit is not None and limit < 1:
        raise InputError(f"limit {limit}: must be at least 1")
    frames: list[Frame] = []
    found = excluded = 0
    present: set[str] = set()
    groups = frozenset(exclude)
    for frame in source.frames():
        found += 1
        if frame.split is not None:
            present.add(frame.split)
        if splits is not None and frame.split not in splits:
            continue
        if frame.group in groups:
            excluded += 1
        elif limit is None or len(frames) < limit:
            reason = _not_storable(frame)
            if reason is None:
                frames.append(frame)
            else:
                source.report.add(reason, frame.path)
    for split in splits or []:
        if split not in present:
            known = ", ".join(sorted(present)) or "none"
            raise InputError(f"{source.name} has no split {split!r}; splits found: {known}")
    if not frames:
        raise no_usable_frame(
            source.name, [*source.report.items, *[("excluded group", "")] * excluded]
        )
    return FrameSelection(source, frames, found, excluded, source.report)


def _not_storable(frame: Frame) -> str | None:
    """Why the index cannot hold this frame; None if it can."""
    for text in (frame.path, frame.group, frame.video, frame.split, frame.annotation):
        try:
            (text or "").encode()
        except UnicodeEncodeError:
            return "name is not Unicode"
    if frame.frame is not None and not -(1 << 63) <= frame.frame < 1 << 63:
        return "frame number beyond 64 bits"
    return None


def read_usable(source: Source, frame: Frame) -> np.ndarray:
    """Pixels of one frame: grayscale, uint8, H×W.

    Raises:
        UnreadableFrame: the frame cannot be read, has no pixels, or is constant.
    """
    try:
        pixels = source.read(frame)
    except OSError as error:
        if error.errno not in _REASONS:
            raise
        raise UnreadableFrame(_REASONS[error.errno]) from None
    if pixels.dtype != np.uint8 or pixels.ndim != 2:
        raise TypeError(f"{source.name} read {pixels.dtype} {pixels.shape}, not uint8 H×W")
    if pixels.size == 0:
        raise UnreadableFrame("image without pixels")
    if pixels.min() == pixels.max():
        raise UnreadableFrame("constant image")
    return pixels

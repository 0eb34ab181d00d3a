"""Small videos that drift, as a source, and builds of them that can be stopped at any point."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from raw_layouts import picture

from benchmark.data.frame import Frame, SkipReport, UnreadableFrame
from benchmark.data.packs import FramePack, build_pack, building

SIDE = 48
SIZE = 32
FRAMES = 12


class VideoSource:
    """Videos of 12 frames that fade from one image to another, and some single images.

    Every 10th frame belongs to no video, every 13th is damaged, and before every 9th the walk
    skips a file.

    Args:
        videos: number of videos, two for each patient.
        defects: False repairs the damaged frames and removes the other files.
        delay: seconds that reading a frame takes.
        seen_by: folder in which each process that reads leaves a file named by its id.
    """

    name = "drifting"
    expected = {"frames": 500, "frames of the first centre": 200, "patients": 7}
    split_note = "the last patient is test"
    official_split = False
    forms = ("pack",)
    task = "drifting"
    classes = ()

    def __init__(
        self,
        videos: int = 6,
        defects: bool = True,
        delay: float = 0,
        seen_by: Path | None = None,
    ) -> None:
        self.report = SkipReport()
        self.options: dict[str, str | int | float] = {"videos": videos}
        self.videos = videos
        self.defects = defects
        self.delay = delay
        self.seen_by = seen_by

    def frames(self) -> Iterator[Frame]:
        self.report = SkipReport()
        for number in range(self.videos * FRAMES):
            video, frame = divmod(number, FRAMES)
            group = f"drifting/{video // 2}"
            if self.defects and number % 9 == 8:
                self.report.add("not a picture", f"{group}/{number}.txt")
            yield Frame(
                self.name,
                f"v{video:05d}/{frame:02d}.png",
                group=group,
                video=None if number % 10 == 9 else f"{group}/{video}",
                frame=frame,
                split="test" if video >= self.videos - 2 else "train",
            )

    def read(self, frame: Frame) -> np.ndarray:
        time.sleep(self.delay)
        if self.seen_by is not None:
            (self.seen_by / str(os.getpid())).touch()
        video = int(frame.path[1:6])
        if self.defects and (video * FRAMES + frame.frame) % 13 == 12:
            raise UnreadableFrame("damaged image")
        share = frame.frame / FRAMES
        first, last = (picture(seed, SIDE, SIDE) for seed in (2 * video, 2 * video + 1))
        return ((1 - share) * first + share * last).astype(np.uint8)


def build(
    source: VideoSource,
    out: Path,
    chunk: int = 5,
    size: int = SIZE,
    **options: Any,
) -> FramePack:
    """`build_pack` without a progress bar and with chunks of a given size."""
    with mock.patch.object(building, "CHUNK", chunk):
        return build_pack(source, out, size, progress=False, **options)


def build_until(crash_at: int | None, source: VideoSource, out: Path, options: Any) -> None:
    """Build, but end without a trace before lasting change number `crash_at` of the disk.

    To be called in a process of its own; ends with 0 if it was done before, and with 130 where it
    was interrupted.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    changes = 0

    def counted(change: Any) -> Any:
        def run(*arguments: Any, **keywords: Any) -> Any:
            nonlocal changes
            if changes == crash_at:
                os._exit(9)
            changes += 1
            return change(*arguments, **keywords)

        return run

    if crash_at is not None:
        for name in ("fsync", "replace", "unlink", "rmdir", "mkdir", "truncate"):
            setattr(os, name, counted(getattr(os, name)))
    try:
        build(source, out, **options)
    except KeyboardInterrupt:
        sys.exit(130)

"""Procedural angiograms as a source: no download, and exact vessel masks."""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from benchmark.data.frame import Frame, Source
from benchmark.data.sources.arcade import SEGMENTS
from benchmark.data.sources.files import Raw
from benchmark.errors import InputError, one_of
from benchmark.type_hints import Count, Natural, Positive, Rate, Seed

if TYPE_CHECKING:
    import numpy as np

TASKS: dict[str, tuple[str, ...]] = {
    "synthetic_v": ("vessel",),
    "synthetic_vs": SEGMENTS,
    "synthetic_s": ("stenosis",),
}


#: Side of the largest view that close-ups are taken from, in pixels.
LARGEST = 4096


@functools.lru_cache(maxsize=2)
def _angiogram(
    seed: int,
    patient: int,
    video: int,
    frame: int,
    size: int,
    frames: int,
    dose: float,
    field: float,
) -> Any:
    """One rendered angiogram; cached, because the mask of a frame is read right after it."""
    # Imported here because drawing needs torch, and listing the sources must not load it.
    from benchmark.data.synthetic import angiogram, close_up
    from benchmark.randomness import numpy_generator

    whole = round(size / field)
    drawn = angiogram(seed, patient, video, frame, size=whole, frames=frames, dose=dose)
    if whole == size:
        return drawn
    return close_up(drawn, size, numpy_generator(seed, "synthetic field", patient, video, frame))


class Synthetic(Source):
    """Source of procedural angiograms.

    Args:
        raw: must be None.
        patients, videos, frames: patients, videos of each, frames of each video.
        first_frame: number of the first frame used; contrast has arrived by about 3.
        size: height and width in pixels.
        seed: a different seed gives different patients.
        dose: photons relative to the usual exposure; 0.25 doubles the quantum noise.
        field: side of the frames relative to the whole view, above 0; below 1 they are close-ups
            of stenoses, or of vessels where there are none, in the resolution of a whole view of
            size / field pixels, at most `LARGEST`.
        test_fraction: fraction of the patients, the last ones, whose frames are ``test``.
        task: what the masks show: ``synthetic_v`` vessels, ``synthetic_vs`` 25 segments of the
            SYNTAX score, ``synthetic_s`` stenoses. Boxes are always of stenoses.

    Raises:
        InputError: a folder was given, `first_frame` is not one of the frames, or `field` is above
            1 or too small.
    """

    name = "synthetic"
    task = "synthetic_v"
    forms = ("pack", "segmentation", "detection", "denoising")
    box_classes = ("stenosis",)
    split_note = "by patient: the last patients are test"
    official_split = True

    def __init__(
        self,
        raw: Raw = None,
        *,
        patients: Count = 30,
        videos: Count = 2,
        frames: Count = 8,
        first_frame: Natural = 0,
        size: Count = 512,
        seed: Seed = 0,
        test_fraction: Rate = 1 / 3,
        dose: Positive = 1.0,
        field: Positive = 1.0,
        task: str = "synthetic_v",
    ) -> None:
        super().__init__()
        if first_frame >= frames:
            raise InputError(f"option first_frame={first_frame}: must be from 0 to {frames - 1}")
        if field > 1:
            raise InputError(f"option field={field:g}: must be at most 1, the whole view")
        if field < min(1, size / LARGEST):
            raise InputError(
                f"option field={field:g}: the whole view would be drawn with {size / field:.0f} "
                f"pixels a side; at most {LARGEST}"
            )
        if raw is not None:
            raise InputError("the synthetic source reads no folder; leave --raw out")
        self.task = one_of("task", task, TASKS)
        self.classes = TASKS[task]
        self.options = {
            "patients": patients,
            "videos": videos,
            "frames": frames,
            "size": size,
            "first_frame": first_frame,
            "seed": seed,
            "test_fraction": test_fraction,
            "task": task,
            **({} if dose == 1 else {"dose": dose}),
            **({} if field == 1 else {"field": field}),
        }
        self._patients, self._videos, self._size, self._seed = patients, videos, size, seed
        self._frames, self._dose, self._field = range(first_frame, frames), dose, field
        self._first_test = patients - int(patients * test_fraction + 0.5)

    def walk(self) -> Iterator[Frame]:
        # Loaded once here rather than in each of the processes that may be forked to read.
        importlib.import_module("benchmark.data.synthetic")
        for patient in range(self._patients):
            # A different seed gives different patients, so it is part of their identity.
            group = f"{self.name}/{self._seed}-{patient}"
            split = "train" if patient < self._first_test else "test"
            for video in range(self._videos):
                for frame in self._frames:
                    path = f"patient{patient:04d}/video{video}/frame{frame:02d}"
                    video_id = f"{group}/{video}"
                    yield Frame(self.name, path, group, video_id, frame, split, f"{path}/vessel")

    def _draw(self, frame: Frame) -> Any:
        patient, video, number = map(int, re.findall(r"\d+", frame.path))
        drawn = (self._size, self._frames.stop, self._dose, self._field)
        return _angiogram(self._seed, patient, video, number, *drawn)

    def read(self, frame: Frame) -> np.ndarray:
        return self._draw(frame).image

    def read_masks(self, frame: Frame) -> np.ndarray:
        """Masks of the task's classes, bool, C×size×size: exact, not annotated."""
        import numpy as np

        drawn = self._draw(frame)
        if self.task == "synthetic_v":
            return drawn.vessel[None]
        if self.task == "synthetic_vs":
            return drawn.segments == np.arange(1, len(SEGMENTS) + 1)[:, None, None]
        empty = np.zeros_like(drawn.vessel)
        return np.logical_or.reduce([empty, *(s.mask for s in drawn.stenoses)])[None]

    def read_boxes(self, frame: Frame) -> np.ndarray:
        """Boxes of the stenoses, float64, N×5."""
        import numpy as np

        boxes = [(*stenosis.box, 0) for stenosis in self._draw(frame).stenoses]
        return np.array(boxes, dtype=np.float64).reshape(-1, 5)

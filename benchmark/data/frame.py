"""A frame of an angiogram, and the interface of data sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Frame:
    """Where one frame comes from. Pixels are read later, through the source that yielded it.

    Attributes:
        source: name of the source, e.g. ``"cadica"``.
        path: path of the image below the raw folder, with ``/``; unique within the source. A
            frame of a multi-frame file ends in ``#00012``, its position from 0.
        group: patient or study, namespaced by the source (``"cadica/p14"``); None if unknown.
        video: sequence the frame belongs to (``"cadica/p14/v1"``); None if unknown.
        frame: number of the frame inside its video; None if unknown.
        split: split in the source (``"train"``, ``"test"``, …); None where it has none.
        annotation: where the source finds the annotation (the path of a mask, a key into a list);
            None where there is none.
    """

    source: str
    path: str
    group: str | None = None
    video: str | None = None
    frame: int | None = None
    split: str | None = None
    annotation: str | None = None


class UnreadableFrame(Exception):
    """A single frame cannot be used; the message is the reason, without the path."""


@dataclass
class SkipReport:
    """Everything a reader skipped, by reason. Readers report, they never guess or assert.

    Attributes:
        items: reason and path of each. Parts of a path that are not Unicode are escaped, so that
            every report can be written as text.
        set_aside: what an option excluded on purpose, by reason; neither a defect nor an error in
            strict mode.
    """

    items: list[tuple[str, str]] = field(default_factory=list)
    set_aside: Counter[str] = field(default_factory=Counter)

    def add(self, reason: str, path: str) -> None:
        self.items.append((reason, path.encode("utf-8", "backslashreplace").decode()))

    @property
    def counts(self) -> Counter[str]:
        """How often each reason was given."""
        return Counter(reason for reason, _ in self.items)


class Source:
    """One dataset as its users download it; the base class of all readers.

    `frames` walks the raw folder in a fixed (natural) order and yields what is usable; `report`
    holds what it skips. `expected` are published counts, printed beside those found.

    Attributes:
        name: name of the source, e.g. ``"cadica"``.
        report: what the last call of `frames` skipped; each call starts a new one.
        expected: published counts, e.g. ``{"frames": 6594}``; empty where nothing is published.
        options: JSON-able values that decide which frames there are and what they contain (a
            selection rule, a seed); together with the paths they identify the content.
        split_note: one sentence on where `Frame.split` comes from.
        official_split: whether that is the split the dataset's authors published.
        forms: what `tools/prepare_data.py` can build from it, the default first: ``"pack"``,
            ``"segmentation"``, ``"detection"``, ``"denoising"``.
        pack_splits: splits of a pack by default; None: every frame.
        classes: names of the annotated classes, without background; the channels of `read_masks`.
        box_classes: those of `read_boxes`, where they are others; None: `classes`.
        has_noisy_frames: whether a denoising task has noisy frames of its own (`read_degraded`);
            otherwise they are simulated.
        layout: how the files lie, where several layouts are accepted; printed before a build.

    Raises (from the constructor):
        InputError: the raw folder is missing or does not look like this dataset, or an option
            cannot be used.
    """

    name: str
    expected: dict[str, int] = {}
    split_note = "the dataset has no split"
    official_split = False
    forms: tuple[str, ...] = ("pack",)
    pack_splits: tuple[str, ...] | None = None
    classes: tuple[str, ...] = ()
    box_classes: tuple[str, ...] | None = None
    layout = ""
    has_noisy_frames = False

    def __init__(self) -> None:
        self.options: dict[str, str | int | float] = {}
        self.report = SkipReport()

    @property
    def task(self) -> str:
        """Name of the downstream task, e.g. ``"arcade_v"``."""
        return self.name

    def frames(self) -> Iterator[Frame]:
        self.report = SkipReport()
        yield from self.walk()

    def walk(self) -> Iterator[Frame]:
        """The frames of `frames`; adds to `report` what it skips."""
        raise NotImplementedError

    def read(self, frame: Frame) -> np.ndarray:
        """Grayscale pixels, uint8, H×W. Raises `UnreadableFrame`."""
        raise NotImplementedError

    def read_masks(self, frame: Frame) -> np.ndarray:
        """One mask per class, bool, C×H×W; they may overlap. Raises `UnreadableFrame`."""
        raise UnreadableFrame("no mask")

    def read_boxes(self, frame: Frame) -> np.ndarray:
        """Boxes in pixels, float64, N×5: x0, y0, x1, y1 (exclusive edges), class (`box_classes`).

        N is 0 where the frame is annotated and shows nothing. Raises `UnreadableFrame`.
        """
        raise UnreadableFrame("no boxes")

    def read_degraded(self, frame: Frame) -> np.ndarray:
        """The noisy frame of a clean one, uint8, H×W. Raises `UnreadableFrame`."""
        raise UnreadableFrame("no noisy frame")

    def check_splits(self) -> None:
        """Raise `InputError` where a task needs a split that the data do not have."""

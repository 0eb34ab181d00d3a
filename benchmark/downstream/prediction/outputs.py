"""Which files a prediction writes; without torch, so that existing ones are found at once.

::

    predictions.csv          a row for every frame
    masks/<name>.png         segmentation: 0 and 255, or with several classes their labels
    probabilities/<name>.npz segmentation: `probabilities`, float16 C×H×W, and `classes`
    boxes.json               detection: COCO
    overlays/<name>.png      segmentation and detection: the frame with what was found in colour
    denoised/<name>.png      denoising
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.downstream.fine_tuned.description import ModelDescription
from benchmark.downstream.prediction.frames import InputFrame
from benchmark.errors import InputError

TABLE = "predictions.csv"
BOXES = "boxes.json"


@dataclass(frozen=True)
class Outputs:
    """The files of one prediction.

    Attributes:
        folder: folder that holds them.
        description: description of the model.
        probabilities: whether maps of probabilities are written.
        overlays: whether overlays are.
    """

    folder: Path
    description: ModelDescription
    probabilities: bool = False
    overlays: bool = True

    def __post_init__(self) -> None:
        if self.probabilities and self.description.task != "segmentation":
            raise InputError(
                f"--probabilities: a model for {self.description.task} has none; remove it"
            )

    def kinds(self) -> dict[str, str]:
        """Folder of the files of a frame → their ending."""
        task = self.description.task
        found = {}
        if task == "segmentation":
            found["masks"] = ".png"
        if task == "denoising":
            found["denoised"] = ".png"
        if self.probabilities:
            found["probabilities"] = ".npz"
        if self.overlays and task != "denoising":
            found["overlays"] = ".png"
        return found

    def path(self, kind: str, name: str) -> Path:
        """The file of a kind for a frame of this name."""
        return self.folder / kind / f"{name}{self.kinds()[kind]}"

    def files(self, frames: Sequence[InputFrame]) -> Iterator[Path]:
        """All files that the prediction of these frames writes."""
        yield self.folder / TABLE
        if self.description.task == "detection":
            yield self.folder / BOXES
        for frame in frames:
            if frame.error is None:
                yield from (self.path(kind, frame.name) for kind in self.kinds())

    def refuse_existing(self, frames: Sequence[InputFrame]) -> None:
        """Raise an `InputError` that names the first file that would be replaced."""
        for file in self.files(frames):
            if file.exists() or file.is_symlink():
                raise InputError(
                    f"{file}: there already; --overwrite replaces it, or choose another --out"
                )

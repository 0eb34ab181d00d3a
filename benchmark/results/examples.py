"""Example predictions of a run, stored beside its record for visual inspection.

``seed<k>.examples.npz``, as written by `numpy.savez_compressed`: ``images`` holds the ids, and
``frame_<i>``, ``truth_<i>`` and ``prediction_<i>`` the arrays of the i-th image. Arrays of numbers
and strings only: no pickle is written or read.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark import files
from benchmark.errors import InputError

if TYPE_CHECKING:
    import numpy as np

SUFFIX = ".examples.npz"
_PARTS = ("frame", "truth", "prediction")
#: Files that are larger than this uncompressed are refused; a handful of images takes about 1 MB.
_MAX_BYTES = 1 << 28
#: Number of columns of detection boxes; the largest absolute coordinate accepted, in pixels.
_BOX_COLUMNS, _MAX_COORDINATE = {"truth": 5, "prediction": 6}, 1e6


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One image of the test set, at display size.

    Attributes:
        image: id, as in the column ``image`` of the scores.
        frame: input of the model, uint8, H×W.
        truth, prediction: segmentation: uint8, H×W, 0 background and k the k-th class (the last
            one where they overlap). Detection: float32, N×5 and M×6: x0, y0, x1, y1 in pixels of
            `frame`, the index of the class, and the score (0 … 1) of a prediction. Denoising:
            uint8, H×W: the clean and the denoised frame.
    """

    image: str
    frame: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray


def pack_examples(examples: Sequence[Example]) -> bytes:
    """The content of the file with these examples; equal examples give equal bytes."""
    import numpy as np

    arrays = {"images": np.array([example.image for example in examples], dtype=np.str_)}
    for index, example in enumerate(examples):
        arrays |= {f"{part}_{index}": getattr(example, part) for part in _PARTS}
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def read_examples(path: Path | str) -> list[Example]:
    """Read the examples beside the record at `path`; an empty list if the record has none.

    Args:
        path: the record's JSON file.

    Raises:
        InputError: the listed file is missing, was changed, or does not hold examples.
    """
    path = Path(path)
    data = files.read_json(path)
    entry = data.get("examples") if isinstance(data, dict) else None
    if entry is None:
        return []
    listed = entry if isinstance(entry, dict) else {}
    detection = data.get("task") == "detection"
    stored = StoredExamples(path, listed.get("file"), listed.get("sha256"), detection)
    return [
        Example(image, *(stored.read(part, index) for part in _PARTS))
        for index, image in enumerate(stored.images)
    ]


class StoredExamples:
    """A file of examples, of which only the parts that are asked for are decompressed.

    Attributes:
        images: the ids of its images.
    """

    def __init__(self, path: Path, file: object, sha256: object, detection: bool) -> None:
        """
        Args:
            path: the record's JSON file.
            file, sha256: name and hash of the file, as the record lists them.
            detection: whether truth and prediction are boxes.

        Raises:
            InputError: the file is missing, was changed, or does not hold examples.
        """
        self._file, self._detection = path.with_suffix(SUFFIX), detection
        if file != self._file.name or not self._file.exists():
            raise InputError(f"{path}: key 'examples.file': {self._file.name} is missing beside it")
        content = files.read_regular(self._file, _MAX_BYTES)
        if files.sha256_bytes(content) != sha256:
            raise InputError(f"{path}: key 'examples.sha256' is not the hash of {self._file.name}")
        with self._naming():
            self._archive = zipfile.ZipFile(io.BytesIO(content))
            if sum(member.file_size for member in self._archive.infolist()) > _MAX_BYTES:
                raise ValueError(f"more than {_MAX_BYTES >> 20} MiB")
            self.images = [str(image) for image in self._array("images")]

    def read(self, part: str, index: int) -> np.ndarray:
        """``frame``, ``truth`` or ``prediction`` of the image at this index; see `Example`.

        Raises:
            InputError: it is not what the task calls for.
        """
        image = self.images[index]
        with self._naming():
            array = self._array(f"{part}_{index}")
            if part == "frame":
                if not _is_image(array):
                    raise ValueError(f"the frame of {image} is not an image")
            elif self._detection:
                if not _are_boxes(array, _BOX_COLUMNS[part]):
                    raise ValueError(f"the {part} of {image} are not boxes")
            elif not (_is_image(array) and array.shape == self._shape(f"frame_{index}")):
                raise ValueError(f"the {part} of {image} does not match its frame")
        return array

    def frame_size(self, index: int) -> tuple[int, int]:
        """Height and width of the frame of the image at this index, in pixels.

        Raises:
            InputError: it is not an image.
        """
        with self._naming():
            shape = self._shape(f"frame_{index}")
            if len(shape) != 2 or not all(shape):
                raise ValueError(f"the frame of {self.images[index]} is not an image")
        return shape

    def _array(self, name: str) -> np.ndarray:
        import numpy as np

        with self._archive.open(f"{name}.npy") as member:
            return np.lib.format.read_array(member, allow_pickle=False)

    def _shape(self, name: str) -> tuple[int, ...]:
        """Shape of an array, without decompressing its numbers."""
        import numpy as np

        with self._archive.open(f"{name}.npy") as member:
            # `numpy.savez_compressed` writes other versions for names of fields only.
            if np.lib.format.read_magic(member) != (1, 0):
                raise ValueError(f"{name} is not an array of numbers")
            return np.lib.format.read_array_header_1_0(member)[0]

    @contextmanager
    def _naming(self) -> Iterator[None]:
        # zipfile and numpy raise all kinds of exceptions for hand-made files.
        try:
            yield
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise InputError(f"{self._file}: holds no examples ({reason:.200})") from None


def _is_image(array: np.ndarray) -> bool:
    return array.ndim == 2 and array.dtype == "uint8" and array.size > 0


def _are_boxes(array: np.ndarray, columns: int) -> bool:
    if array.ndim != 2 or array.shape[1] != columns or array.dtype.kind != "f":
        return False
    start, end = array[:, :2], array[:, 2:4]
    # Comparisons with NaN are false.
    return bool((start <= end).all() and (abs(array) <= _MAX_COORDINATE).all())

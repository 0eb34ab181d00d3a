"""Example predictions of a run, stored beside its record for visual inspection.

``seed<k>.examples.npz``, as written by `numpy.savez_compressed`: ``images`` holds the ids, and
``frame_<i>``, ``truth_<i>`` and ``prediction_<i>`` the arrays of the i-th image. Arrays of numbers
and strings only: no pickle is written or read.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
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
    file = path.with_suffix(SUFFIX)
    if not isinstance(entry, dict) or entry.get("file") != file.name or not file.exists():
        raise InputError(f"{path}: key 'examples.file': {file.name} is missing beside it")
    content = files.read_regular(file, _MAX_BYTES)
    if files.sha256_bytes(content) != entry.get("sha256"):
        raise InputError(f"{path}: key 'examples.sha256' is not the hash of {file.name}")
    try:
        return _unpack_examples(content, detection=data.get("task") == "detection")
    # zipfile and numpy raise all kinds of exceptions for hand-made files.
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise InputError(f"{file}: holds no examples ({reason:.200})") from None


def _unpack_examples(content: bytes, detection: bool) -> list[Example]:
    import numpy as np

    # numpy would return a bare array for an .npy file, so this has to be a zip archive.
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(member.file_size for member in archive.infolist()) > _MAX_BYTES:
            raise ValueError(f"more than {_MAX_BYTES >> 20} MiB")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        found = [
            Example(str(image), *(arrays[f"{part}_{index}"] for part in _PARTS))
            for index, image in enumerate(arrays["images"])
        ]
    for example in found:
        if not _is_image(example.frame):
            raise ValueError(f"the frame of {example.image} is not an image")
        for part in _PARTS[1:]:
            array = getattr(example, part)
            if detection and not _are_boxes(array, _BOX_COLUMNS[part]):
                raise ValueError(f"the {part} of {example.image} are not boxes")
            if not detection and not (_is_image(array) and array.shape == example.frame.shape):
                raise ValueError(f"the {part} of {example.image} does not match its frame")
    return found


def _is_image(array: np.ndarray) -> bool:
    return array.ndim == 2 and array.dtype == "uint8" and array.size > 0


def _are_boxes(array: np.ndarray, columns: int) -> bool:
    if array.ndim != 2 or array.shape[1] != columns or array.dtype.kind != "f":
        return False
    start, end = array[:, :2], array[:, 2:4]
    # Comparisons with NaN are false.
    return bool((start <= end).all() and (abs(array) <= _MAX_COORDINATE).all())

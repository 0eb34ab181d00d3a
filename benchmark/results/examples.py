"""Some predictions of a run, kept beside its record so that they can be looked at.

``seed<k>.examples.npz``, as numpy's `numpy.savez_compressed` writes it: ``images`` holds the ids,
and ``frame_<i>``, ``truth_<i>`` and ``prediction_<i>`` the pictures of the i-th. Only numbers and
texts: no pickle is written or read.
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
#: Files that hold more than this, unpacked, are refused; a handful of pictures has some 1 MB.
_MAX_BYTES = 1 << 28
#: Columns of the boxes of a detection; no box has a longer side than this, in pixels.
_BOXES, _FARTHEST = {"truth": 5, "prediction": 6}, 1e6


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One image of the test set, at the size it is shown.

    Attributes:
        image: its id, as in the column ``image`` of the scores.
        frame: what the model was given, uint8, H×W.
        truth, prediction: segmentation: uint8, H×W, 0 background and k the k-th class (the last one
            where they overlap). Detection: float32, N×5 and M×6: x0, y0, x1, y1 in pixels of
            `frame`, the index of the class, and the score (0 … 1) of a prediction. Denoising:
            uint8, H×W: the clean and the denoised frame.
    """

    image: str
    frame: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray


def packed(examples: Sequence[Example]) -> bytes:
    """The file that holds these examples; equal examples give equal bytes."""
    import numpy as np

    arrays = {"images": np.array([example.image for example in examples], dtype=np.str_)}
    for index, example in enumerate(examples):
        arrays |= {f"{part}_{index}": getattr(example, part) for part in _PARTS}
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def read_examples(path: Path | str) -> list[Example]:
    """The examples beside the record at `path`; none where the record lists none.

    Args:
        path: the record's JSON file (`path_of` names it below the folder of all results).

    Raises:
        InputError: the file the record lists is missing, was changed, or does not hold examples.
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
        return _unpacked(content, detection=data.get("task") == "detection")
    # Of a file that somebody made by hand, zipfile and numpy raise whatever they run into.
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise InputError(f"{file}: holds no examples ({reason:.200})") from None


def _unpacked(content: bytes, detection: bool) -> list[Example]:
    import numpy as np

    # Of a single array numpy would return just that.
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(member.file_size for member in archive.infolist()) > _MAX_BYTES:
            raise ValueError(f"more than {_MAX_BYTES >> 20} MiB")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        found = [
            Example(str(image), *(arrays[f"{part}_{index}"] for part in _PARTS))
            for index, image in enumerate(arrays["images"])
        ]
    for example in found:
        if not _is_picture(example.frame):
            raise ValueError(f"the frame of {example.image} is no picture")
        for part in _PARTS[1:]:
            array = getattr(example, part)
            if detection and not _are_boxes(array, _BOXES[part]):
                raise ValueError(f"the {part} of {example.image} are no boxes")
            if not detection and not (_is_picture(array) and array.shape == example.frame.shape):
                raise ValueError(f"the {part} of {example.image} is no picture like its frame")
    return found


def _is_picture(array: np.ndarray) -> bool:
    return array.ndim == 2 and array.dtype == "uint8" and array.size > 0


def _are_boxes(array: np.ndarray, columns: int) -> bool:
    if array.ndim != 2 or array.shape[1] != columns or array.dtype.kind != "f":
        return False
    start, end = array[:, :2], array[:, 2:4]
    # Of numbers that are none every comparison is false.
    return bool((start <= end).all() and (abs(array) <= _FARTHEST).all())

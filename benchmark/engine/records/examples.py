"""Some predictions of a run, kept beside its record so that they can be looked at.

``seed<k>.examples.npz``, as numpy's `numpy.savez_compressed` writes it: ``images`` holds the ids,
and ``frame_<i>``, ``truth_<i>`` and ``prediction_<i>`` the pictures of the i-th. Only numbers and
texts: no pickle is written or read.
"""

from __future__ import annotations

import io
import zipfile
import zlib
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
    if not isinstance(entry, dict) or entry.get("file") != file.name or not file.is_file():
        raise InputError(f"{path}: key 'examples.file': {file.name} is missing beside it")
    content = file.read_bytes()
    if files.sha256_bytes(content) != entry.get("sha256"):
        raise InputError(f"{path}: key 'examples.sha256' is not the hash of {file.name}")
    try:
        return _unpacked(content)
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{file}: holds no examples ({error})") from None


def _unpacked(content: bytes) -> list[Example]:
    import numpy as np

    # Of a single array numpy would return just that.
    if not zipfile.is_zipfile(io.BytesIO(content)):
        raise ValueError("not an npz file")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        found = [
            Example(str(image), *(arrays[f"{part}_{index}"] for part in _PARTS))
            for index, image in enumerate(arrays["images"])
        ]
    for example in found:
        pictures = example.frame.ndim == 2 and example.frame.dtype == np.uint8
        if not pictures or not example.truth.ndim == example.prediction.ndim == 2:
            raise ValueError(f"frame, truth and prediction of {example.image} are no pictures")
    return found

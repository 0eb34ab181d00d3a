"""Stored values to display values, by the grayscale pipeline of DICOM PS3.3 C.11, per file.

Rescale or modality LUT, then window or VOI LUT, then polarity. Enhanced files have them in
functional groups, possibly per frame; those of the first frame are used for the complete video.
"""

from __future__ import annotations

import numpy as np
import pydicom
from pydicom.pixels import apply_modality_lut, apply_voi

from benchmark.data.formats.bit_depth import NARROW_RANGE, has_narrow_range
from benchmark.data.formats.video import Video
from benchmark.data.frame import UnreadableFrame

WINDOW = "window of the DICOM file"
TABLE = "VOI LUT of the DICOM file"
STRETCHED = "stretched between percentiles"
UNFIT = "DICOM window does not fit the bit depth, not used"
"""Notes on how the intensities of a file were mapped to 8 bits."""

TAGS = [
    "PhotometricInterpretation",
    "BitsStored",
    "PixelRepresentation",
    "PixelIntensityRelationship",
    "RescaleIntercept",
    "RescaleSlope",
    "ModalityLUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]
"""Keywords read by `display`."""

_MACROS = {
    "FramePixelDataPropertiesSequence": ("PixelIntensityRelationship",),
    "PixelValueTransformationSequence": ("RescaleIntercept", "RescaleSlope"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
}
"""Functional group → the elements it overrides."""

_VARIES = {
    "PixelValueTransformationSequence": "rescale differs between frames, the first is used",
    "FrameVOILUTSequence": "window differs between frames, the first is used",
}
_PERCENTILES = (0.5, 99.5)
_MIN_COVERAGE = 0.25
"""If the stored range covers a smaller fraction of a window, it is for another bit depth."""

Window = tuple[float, float, str]
Notes = list[tuple[str, str]]


def display(stored: np.ndarray, dataset: pydicom.Dataset) -> Video:
    """Map stored values, 8 or 16 bits, F×H×W, to display values.

    Modality LUT or rescale, unless the pixels are LOG or DISP (in XA these map back to X-ray
    intensity and are not for display, PS3.3 C.8.7.1.1.2); then the first window, else the first
    VOI LUT; else 8-bit values are kept, and values of more bits are stretched from the 0.5th to the
    99.5th percentile of the complete file. A window far beyond the range of the stored bits is
    ignored. MONOCHROME1 is inverted. Damaged elements raise whatever pydicom raises.
    """
    dataset, notes = _flatten(dataset)
    low, high = int(stored.min()), int(stored.max())
    # A lookup table over all stored values: the pipeline runs once per value, not per pixel.
    values = _rescale(np.arange(low, high + 1, dtype=np.int32), dataset)
    bits = int(dataset.get("BitsStored") or 16)
    high_bit_depth = bits > 8
    window = _window(dataset)
    if window is not None and not _fits(window, bits, dataset):
        notes.append((UNFIT, f"{_window_note(window)}, {bits} bits"))
        window = None
    if window is not None:
        fraction = _apply_window(values.astype(np.float64), *window)
        notes += [(WINDOW, _window_note(window))] * high_bit_depth
    elif dataset.get("VOILUTSequence"):
        depth = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        fraction = apply_voi(np.rint(values).astype(np.int32), dataset) / (2**depth - 1)
        notes += [(TABLE, "")] * high_bit_depth
    elif not high_bit_depth and values.min() >= 0 and values.max() <= 255:
        fraction = values / 255
    else:
        black, white = _percentiles(values.astype(np.float64), stored, low)
        fraction = (values - black) / (white - black) if white > black else np.zeros(len(values))
        notes.append((STRETCHED, f"black {black:g}, white {white:g}"))
    if not np.isfinite(fraction).all():
        raise UnreadableFrame("damaged DICOM")
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        fraction = 1 - fraction
    table = np.rint(np.clip(fraction, 0, 1) * 255).astype(np.uint8)
    video = np.empty(stored.shape, np.uint8)
    for frame, gray in zip(stored, video):
        gray[:] = table[frame.astype(np.int32) - low]
    if high_bit_depth and has_narrow_range(video):
        notes.append((NARROW_RANGE, ""))
    return Video(video, tuple(notes))


def _flatten(dataset: pydicom.Dataset) -> tuple[pydicom.Dataset, Notes]:
    """Elements that apply to all frames; functional groups override the top level."""
    flat = pydicom.Dataset()
    for keyword in TAGS:
        if keyword in dataset and not keyword.endswith("GroupsSequence"):
            flat[keyword] = dataset[keyword]
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or []
    notes: Notes = []
    for macro, keywords in _MACROS.items():
        for groups in (shared, frames):
            items = [group[macro].value[0] for group in groups if group.get(macro)]
            if not items:
                continue
            for keyword in keywords:
                if keyword in flat:
                    del flat[keyword]
                if keyword in items[0]:
                    flat[keyword] = items[0][keyword]
            contents = [[item.get(keyword) for keyword in keywords] for item in items]
            if macro in _VARIES and any(content != contents[0] for content in contents):
                notes.append((_VARIES[macro], ""))
            break
    return flat, notes


def _rescale(values: np.ndarray, dataset: pydicom.Dataset) -> np.ndarray:
    if str(dataset.get("PixelIntensityRelationship", "")).upper() in {"LOG", "DISP"}:
        return values
    return apply_modality_lut(values, dataset)


def _window(dataset: pydicom.Dataset) -> Window | None:
    """Centre, width and function of the first window; None if there is no valid one."""
    values = [dataset.get(name) for name in ("WindowCenter", "WindowWidth")]
    several = pydicom.multival.MultiValue
    values = [(value or [None])[0] if isinstance(value, several) else value for value in values]
    if None in values or "" in values:
        return None
    centre, width = map(float, values)
    if not np.isfinite([centre, width]).all():
        raise UnreadableFrame("damaged DICOM")
    function = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
    return (centre, width, function) if width > (1 if function == "LINEAR" else 0) else None


def _window_note(window: Window) -> str:
    return f"centre {window[0]:g}, width {window[1]:g}"


def _fits(window: Window, bits: int, dataset: pydicom.Dataset) -> bool:
    """Whether the range of the stored bits covers a reasonable fraction of a window."""
    ends = np.array([0, (1 << bits) - 1], dtype=np.int32)
    if dataset.get("PixelRepresentation"):
        ends -= 1 << (bits - 1)
    covered = np.clip(_apply_window(_rescale(ends, dataset).astype(np.float64), *window), 0, 1)
    return abs(covered[1] - covered[0]) >= _MIN_COVERAGE


def _apply_window(values: np.ndarray, centre: float, width: float, function: str) -> np.ndarray:
    """Fractions of white by the formulas of PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))
    if function == "LINEAR_EXACT":
        return (values - centre) / width + 0.5
    return (values - (centre - 0.5)) / (width - 1) + 0.5


def _percentiles(values: np.ndarray, stored: np.ndarray, low: int) -> tuple[float, float]:
    """Black and white level from percentiles over all pixels; `values` maps stored - `low`."""
    counts = np.zeros(len(values), np.int64)
    for frame in stored:
        counts += np.bincount(frame.ravel().astype(np.int32) - low, minlength=len(values))
    black, white = np.percentile(values, _PERCENTILES, method="inverted_cdf", weights=counts)
    return float(black), float(white)

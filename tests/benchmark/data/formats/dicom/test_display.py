"""The grayscale pipeline against the standard's formulas, hand-worked values and pydicom.

One window per file, wherever it is stored, and only if it fits the bit depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import apply_windowing
from pydicom.uid import EnhancedXAImageStorage

from benchmark.data.formats.bit_depth import NARROW_RANGE
from benchmark.data.formats.dicom.display import STRETCHED, TABLE, UNFIT, WINDOW
from benchmark.data.formats.dicom.reading import decode_dicom
from benchmark.data.formats.video import Video
from benchmark.data.synthetic.raw.containers import dicom_bytes

RAMP = np.arange(4096, dtype=np.uint16).reshape(2, 32, 64)
SIGNED = (RAMP.astype(np.int32) - 2048).astype(np.int16)
GRAY = np.random.default_rng(0).integers(0, 256, (2, 12, 10)).astype(np.uint8)


def _decode(folder: Path, pixels: np.ndarray = RAMP, **elements: Any) -> Video:
    bits = 8 if pixels.dtype == np.uint8 else 12
    elements = {"BitsStored": bits, "HighBit": bits - 1, **elements}
    (folder / "a.dcm").write_bytes(dicom_bytes(pixels, **elements))
    return decode_dicom(folder / "a.dcm")


def _at(centre: float, width: float, **more: Any) -> dict[str, Any]:
    return {"WindowCenter": centre, "WindowWidth": width, **more}


def _item(**elements: Any) -> Dataset:
    dataset = Dataset()
    dataset.update(elements)
    return dataset


def _window(centre: float = 1500, width: float = 1000, **more: Any) -> Dataset:
    return _item(FrameVOILUTSequence=[_item(**_at(centre, width, **more))])


def _rescale(slope: float, intercept: float) -> Dataset:
    item = _item(RescaleSlope=slope, RescaleIntercept=intercept, RescaleType="US")
    return _item(PixelValueTransformationSequence=[item])


def _enhanced(shared: Sequence[Dataset], frames: Sequence[Dataset] = ()) -> dict[str, Any]:
    """Functional groups; the shared ones are one item."""
    merged = Dataset()
    for group in shared:
        merged.update(group)
    return {
        "SOPClassUID": EnhancedXAImageStorage,
        "SharedFunctionalGroupsSequence": [merged],
        "PerFrameFunctionalGroupsSequence": list(frames),
    }


def _lut(values: Sequence[int], bits: int) -> Dataset:
    table = Dataset()
    table.LUTDescriptor = [len(values), 0, bits]
    table.LUTData = list(values)
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    return table


def _linear(values: np.ndarray, centre: float = 1500, width: float = 1000) -> np.ndarray:
    """PS3.3 C.11.2.1.2.1, on 0–255."""
    return ((values - (centre - 0.5)) / (width - 1) + 0.5) * 255


NOTE = (WINDOW, "centre 1500, width 1000")
GAIN = {"RescaleSlope": 2, "RescaleIntercept": -1000}
LOG = _item(FramePixelDataPropertiesSequence=[_item(PixelIntensityRelationship="LOG")])
DISPLAYED = {
    "window": (RAMP, _at(1500, 1000), _linear(RAMP), [NOTE]),
    "exact": (
        RAMP,
        _at(1500, 1000, VOILUTFunction="LINEAR_EXACT"),
        ((RAMP - 1500.0) / 1000 + 0.5) * 255,
        [NOTE],
    ),
    "sigmoid": (
        RAMP,
        _at(1500, 1000, VOILUTFunction="SIGMOID"),
        255 / (1 + np.exp(-4 * (RAMP - 1500.0) / 1000)),
        [NOTE],
    ),
    "first of several": (RAMP, _at([1500, 10], [1000, 10]), _linear(RAMP), [NOTE]),
    "rescaled": (RAMP, _at(1500, 1000, **GAIN), _linear(2.0 * RAMP - 1000), [NOTE]),
    "falling": (
        RAMP,
        _at(1500, 1000, RescaleSlope=-1, RescaleIntercept=4000),
        _linear(4000.0 - RAMP),
        [NOTE],
    ),
    **{
        relationship: (
            RAMP,
            _at(1500, 1000, **GAIN, PixelIntensityRelationship=relationship),
            _linear(2.0 * RAMP - 1000 if relationship == "LIN" else RAMP),
            [NOTE],
        )
        for relationship in ("LIN", "LOG", "DISP")
    },
    "signed": (SIGNED, _at(-1024, 500, PixelRepresentation=1), _linear(SIGNED, -1024, 500), None),
    "shared group": (RAMP, _enhanced([_window()]), _linear(RAMP), [NOTE]),
    "frame groups": (RAMP, _enhanced([], [_window()] * 2), _linear(RAMP), [NOTE]),
    "empty frame groups": (RAMP, _enhanced([_window()], [Dataset()] * 2), _linear(RAMP), [NOTE]),
    "group over top level": (RAMP, _enhanced([_window()]) | _at(10, 20), _linear(RAMP), [NOTE]),
    "rescaled in groups": (
        RAMP,
        _enhanced([_window(), _rescale(2, -1000)]),
        _linear(2.0 * RAMP - 1000),
        [NOTE],
    ),
    "rescaled by frame": (
        RAMP,
        _enhanced([_window()], [_rescale(2, -1000)] * 2),
        _linear(2.0 * RAMP - 1000),
        [NOTE],
    ),
    "LOG in groups": (
        RAMP,
        _enhanced([_window(), _rescale(2, -1000), LOG]),
        _linear(RAMP),
        [NOTE],
    ),
    "two windows": (
        RAMP,
        _enhanced([], [_window(), _window(3000, 500)]),
        _linear(RAMP),
        [("window differs between frames, the first is used", ""), NOTE],
    ),
    "two rescales": (
        RAMP,
        _enhanced([_window()], [_rescale(1, 0), _rescale(3, 5)]),
        _linear(RAMP),
        [("rescale differs between frames, the first is used", ""), NOTE],
    ),
    "VOI LUT": (GRAY, {"VOILUTSequence": [_lut(range(255, -1, -1), 8)]}, 255 - GRAY, []),
    "VOI LUT in groups": (
        RAMP,
        _enhanced([_item(FrameVOILUTSequence=[_item(VOILUTSequence=[_lut(range(4096), 12)])])]),
        RAMP / 4095 * 255,
        [(TABLE, "")],
    ),
    "eight bits": (GRAY, {}, GRAY, []),
    "one frame": (GRAY[0], {}, GRAY[:1], []),
    "inverted": (GRAY, {"PhotometricInterpretation": "MONOCHROME1"}, 255 - GRAY, []),
    **{f"width {w!r}": (GRAY, _at(100, w), GRAY, []) for w in (0, 1, -5, "")},
    **{
        f"eight bits, {c}": (GRAY, _at(c, w), _linear(GRAY, c, w), [])
        for c, w in ((128, 256), (128, 512), (60, 40))
    },
    **{
        f"misfit, {c}": (GRAY, _at(c, w), GRAY, [(UNFIT, f"centre {c}, width {w}, 8 bits")])
        for c, w in ((2048, 4096), (32768, 65536), (2000, 1000), (-500, 100))
    },
    "wide, but rescaled": (
        RAMP,
        _at(32768, 65536, RescaleSlope=16, RescaleIntercept=0),
        _linear(16.0 * RAMP, 32768, 65536),
        None,
    ),
    "left dark": (
        RAMP // 16,
        _at(2048, 4096),
        _linear(RAMP // 16, 2048, 4096),
        [(WINDOW, "centre 2048, width 4096"), (NARROW_RANGE, "")],
    ),
}


@pytest.mark.parametrize("name", DISPLAYED)
def test_display(tmp_path, name):
    pixels, elements, expected, notes = DISPLAYED[name]
    video = _decode(tmp_path, pixels, **elements)
    np.testing.assert_array_equal(video.frames, np.rint(np.clip(expected, 0, 255)))
    assert notes is None or video.notes == tuple(notes)


def test_linear_window_follows_the_standard(tmp_path):
    shown = _decode(tmp_path, **_at(2000, 1000)).frames.ravel()
    # Black up to 1500, white from 2499, 255/999 gray levels a step.
    assert shown[[0, 1500, 1502, 2000, 2498, 2499, 3999]].tolist() == [0, 0, 1, 128, 255, 255, 255]
    # Mid-gray is half a value below the centre.
    assert [int(shown[value]) for value in (1999, 2001)] == [127, 128]
    dataset = _item(**_at(2000, 1000), BitsStored=12, PixelRepresentation=0)
    dataset.PhotometricInterpretation = "MONOCHROME2"
    independent = apply_windowing(RAMP, dataset) / 4095 * 255
    assert np.abs(shown - independent.ravel()).max() <= 0.5 + 1e-9


def test_high_bit_depth_is_stretched_over_the_file(tmp_path):
    """Also if the window is for more bits."""
    skewed = (RAMP.astype(np.int64) ** 2 // 4096).astype(np.uint16)
    black, white = np.percentile(skewed, (0.5, 99.5), method="inverted_cdf")
    stretched = (STRETCHED, f"black {black:g}, white {white:g}")
    for elements, notes in (
        ({}, (stretched,)),
        (_at(32768, 65536), ((UNFIT, "centre 32768, width 65536, 12 bits"), stretched)),
    ):
        video = _decode(tmp_path, skewed, **elements)
        expected = np.clip((skewed - black) / (white - black), 0, 1) * 255
        assert np.abs(video.frames - expected).max() <= 0.5 + 1e-9
        assert video.notes == notes
    flat = _decode(tmp_path, np.full((1, 8, 8), 3000, np.uint16)).frames
    assert flat.min() == flat.max()

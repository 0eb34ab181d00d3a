"""One window for a whole file, from wherever it is, and only where it fits the bits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedXAImageStorage

from benchmark.data.formats.bit_depth import NARROW_RANGE
from benchmark.data.formats.dicom.display import STRETCHED, TABLE, UNFIT, WINDOW
from benchmark.data.formats.dicom.reading import decode_dicom
from benchmark.data.formats.video import Video
from benchmark.data.synthetic.raw.containers import dicom_bytes

RAMP = np.arange(4096, dtype=np.uint16).reshape(2, 32, 64)
DEPTH = {"BitsStored": 12, "HighBit": 11}


def _item(**elements: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def _window(centre: float, width: float, **more: Any) -> Dataset:
    return _item(FrameVOILUTSequence=[_item(WindowCenter=centre, WindowWidth=width, **more)])


def _rescale(slope: float, intercept: float) -> Dataset:
    item = _item(RescaleSlope=slope, RescaleIntercept=intercept, RescaleType="US")
    return _item(PixelValueTransformationSequence=[item])


def _merged(*groups: Dataset) -> Dataset:
    merged = Dataset()
    for group in groups:
        merged.update(group)
    return merged


def _decode(folder: Path, pixels: np.ndarray = RAMP, **elements: Any) -> Video:
    path = folder / "a.dcm"
    path.write_bytes(dicom_bytes(pixels, **{**DEPTH, **elements}))
    return decode_dicom(path)


def _enhanced(
    folder: Path, shared: Dataset | None, frames: Sequence[Dataset] = (), **elements: Any
) -> Video:
    return _decode(
        folder,
        SOPClassUID=EnhancedXAImageStorage,
        SharedFunctionalGroupsSequence=[] if shared is None else [shared],
        PerFrameFunctionalGroupsSequence=list(frames),
        **elements,
    )


def _linear(values: np.ndarray, centre: float, width: float) -> np.ndarray:
    """PS3.3 C.11.2.1.2.1, on 0–255."""
    share = (values - (centre - 0.5)) / (width - 1) + 0.5
    return np.rint(np.clip(share, 0, 1) * 255)


def test_a_window_in_functional_groups_acts_like_that_of_a_classic_file(tmp_path: Path):
    classic = _decode(tmp_path, WindowCenter=1500, WindowWidth=1000)
    np.testing.assert_array_equal(classic.frames, _linear(RAMP.astype(float), 1500, 1000))
    note = (WINDOW, "centre 1500, width 1000")
    for shared, frames in (
        (_window(1500, 1000), []),
        (None, [_window(1500, 1000)] * 2),
        (Dataset(), [_window(1500, 1000)] * 2),
        (_window(1500, 1000), [Dataset(), Dataset()]),
    ):
        video = _enhanced(tmp_path, shared, frames)
        np.testing.assert_array_equal(video.frames, classic.frames)
        assert video.notes == classic.notes == (note,)


def test_functional_groups_override_the_top_level(tmp_path: Path):
    video = _enhanced(
        tmp_path,
        _window(1500, 1000, VOILUTFunction="LINEAR_EXACT"),
        WindowCenter=10,
        WindowWidth=20,
    )
    share = np.clip((RAMP - 1500.0) / 1000 + 0.5, 0, 1)
    np.testing.assert_array_equal(video.frames, np.rint(share * 255))


def test_rescale_and_its_exemption_in_groups(tmp_path: Path):
    window, rescale = _window(1500, 1000), _rescale(2, -1000)
    exempt = _item(FramePixelDataPropertiesSequence=[_item(PixelIntensityRelationship="LOG")])
    for shared, frames, values in (
        (_merged(window, rescale), [], 2.0 * RAMP - 1000),
        (window, [rescale] * 2, 2.0 * RAMP - 1000),
        (_merged(window, rescale, exempt), [], RAMP.astype(float)),
    ):
        video = _enhanced(tmp_path, shared, frames)
        np.testing.assert_array_equal(video.frames, _linear(values, 1500, 1000))


def test_one_window_is_used_for_all_frames(tmp_path: Path):
    frames = [_window(1500, 1000), _window(3000, 500)]
    video = _enhanced(tmp_path, None, frames)
    np.testing.assert_array_equal(video.frames, _linear(RAMP.astype(float), 1500, 1000))
    assert video.notes == (
        ("window differs between frames, the first is used", ""),
        (WINDOW, "centre 1500, width 1000"),
    )
    frames = [_rescale(1, 0), _rescale(3, 5)]
    video = _enhanced(tmp_path, _window(1500, 1000), frames)
    np.testing.assert_array_equal(video.frames, _linear(RAMP.astype(float), 1500, 1000))
    assert video.notes[0] == ("rescale differs between frames, the first is used", "")


def test_a_voi_lut_in_groups(tmp_path: Path):
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 16]
    table.LUTData = [65535 - 16 * value for value in range(4096)]
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    group = _item(FrameVOILUTSequence=[_item(VOILUTSequence=[table])])
    video = _enhanced(tmp_path, group)
    np.testing.assert_array_equal(video.frames, np.rint((65535 - 16.0 * RAMP) / 65535 * 255))
    assert video.notes == ((TABLE, ""),)


GRAY = np.random.default_rng(0).integers(0, 256, (2, 12, 10)).astype(np.uint8)


@pytest.mark.parametrize(
    ("centre", "width"), [(2048, 4096), (32768, 65536), (2000, 1000), (-500, 100)]
)
def test_a_window_for_more_bits_is_ignored_at_eight_bits(tmp_path: Path, centre: int, width: int):
    elements = {"BitsStored": 8, "HighBit": 7, "WindowCenter": centre, "WindowWidth": width}
    video = _decode(tmp_path, GRAY, **elements)
    np.testing.assert_array_equal(video.frames, GRAY)
    assert video.notes == ((UNFIT, f"centre {centre}, width {width}, 8 bits"),)
    inverted = _decode(tmp_path, GRAY, **elements, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(inverted.frames, 255 - GRAY)


def test_an_eight_bit_window_is_used_without_a_note(tmp_path: Path):
    for centre, width in ((128, 256), (128, 512), (60, 40)):
        elements = {"BitsStored": 8, "HighBit": 7, "WindowCenter": centre, "WindowWidth": width}
        video = _decode(tmp_path, GRAY, **elements)
        np.testing.assert_array_equal(video.frames, _linear(GRAY.astype(float), centre, width))
        assert video.notes == ()


def test_percentiles_replace_a_window_for_more_bits_at_twelve_bits(tmp_path: Path):
    plain = _decode(tmp_path)
    video = _decode(tmp_path, WindowCenter=32768, WindowWidth=65536)
    np.testing.assert_array_equal(video.frames, plain.frames)
    black, white = np.percentile(RAMP, (0.5, 99.5), method="inverted_cdf")
    stretched = (STRETCHED, f"black {black:g}, white {white:g}")
    assert plain.notes == (stretched,)
    assert video.notes == ((UNFIT, "centre 32768, width 65536, 12 bits"), stretched)


def test_windows_are_compared_with_rescaled_and_signed_values(tmp_path: Path):
    window = {"WindowCenter": 32768, "WindowWidth": 65536}
    video = _decode(tmp_path, **window, RescaleSlope=16, RescaleIntercept=0)
    np.testing.assert_array_equal(video.frames, _linear(16.0 * RAMP, 32768, 65536))
    signed = (RAMP.astype(np.int32) - 2048).astype(np.int16)
    video = _decode(tmp_path, signed, PixelRepresentation=1, WindowCenter=-1024, WindowWidth=500)
    np.testing.assert_array_equal(video.frames, _linear(signed.astype(float), -1024, 500))


def test_a_video_left_dark_by_its_window_is_noted(tmp_path: Path):
    dim = (RAMP // 16).astype(np.uint16)
    video = _decode(tmp_path, dim, WindowCenter=2048, WindowWidth=4096)
    assert video.notes == ((WINDOW, "centre 2048, width 4096"), (NARROW_RANGE, ""))

"""Images of more than 8 bits per channel, which Pillow truncates, by OpenCV and tifffile.

Imported lazily: most images have 8 bits, and these libraries take time to load.
"""

from __future__ import annotations

import io
import logging

import cv2
import numpy as np
import tifffile
from cv2.utils import logging as cv2_log

from benchmark.data.formats import images
from benchmark.data.formats.bit_depth import BIT_DEPTHS
from benchmark.data.formats.images import DecodedImage
from benchmark.data.formats.orientation import ORIENTATION_TAG, apply_orientation
from benchmark.data.frame import UnreadableFrame

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2

# tifffile logs every header anomaly; those that matter become reasons.
logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)


def read_png(content: bytes) -> np.ndarray:
    """A 16-bit PNG as stored: uint16, H×W×C as in `DecodedImage`."""
    values = _decode(content)
    if content[25] == 4:  # grayscale with alpha; OpenCV repeats the gray channel
        return values[..., [0, 3]]
    return values


def read_tiff(content: bytes) -> DecodedImage:
    """A TIFF of more than eight bits."""
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        if len(file.pages) > 1:
            raise UnreadableFrame("more than one image in the file")
        page = file.pages.first
        height, width, samples = page.imagelength, page.imagewidth, page.samplesperpixel
        if height * width * samples > 4 * images.MAX_PIXELS:
            raise UnreadableFrame("image too large")
        allowed = {1: {_WHITE_IS_ZERO, _BLACK_IS_ZERO}, 2: {_BLACK_IS_ZERO}, 3: {_RGB}, 4: {_RGB}}
        integer = page.dtype is not None and page.dtype.kind in "ui" and page.imagedepth == 1
        if not integer or page.photometric not in allowed.get(samples, ()):
            raise UnreadableFrame("unsupported pixel type of more than 8 bits")
        bits = int(page.bitspersample)
        tag = page.tags.get(ORIENTATION_TAG)
        planar = page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and samples > 1
        try:
            values = page.asarray()
            shape = (samples, height, width) if planar else (height, width, samples)
            values = values.reshape(shape)
            if planar:
                values = np.moveaxis(values, 0, 2)
            values = apply_orientation(values, tag.value if tag else 1)
        except (NotImplementedError, ValueError):
            # tifffile alone decodes neither LZW nor packed bits. OpenCV's libtiff does; it applies
            # the orientation itself and left-aligns packed values in 16 bits.
            if planar or samples == 2:
                raise
            values = _decode(content) >> (-bits % 16)
    depths = (bits,) if bits < 16 else BIT_DEPTHS
    return DecodedImage(values, depths, page.photometric == _WHITE_IS_ZERO)


def _decode(content: bytes) -> np.ndarray:
    """Decode with OpenCV, in RGB order; uint16, H×W×C."""
    level = cv2_log.getLogLevel()
    cv2_log.setLogLevel(cv2_log.LOG_LEVEL_SILENT)
    try:
        values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        values = None
    finally:
        cv2_log.setLogLevel(level)
    if values is None or values.dtype != np.uint16:
        raise UnreadableFrame("damaged image")
    values = values.reshape(*values.shape[:2], -1)
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[values.shape[2]]
    return values[..., order]

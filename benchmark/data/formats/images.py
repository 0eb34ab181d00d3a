"""Decoding one image file, or saying in a few words why it cannot be used."""

from __future__ import annotations

import errno
import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from benchmark.data.formats.bit_depth import scale_to_8_bits, stated_depths, white_level
from benchmark.data.formats.orientation import orientation_of, turned
from benchmark.data.formats.pointers import pointer_reason
from benchmark.data.frame import UnreadableFrame

MAX_PIXELS = 1 << 26
"""Larger pictures are refused before they are decoded; an angiogram has about 2**20 pixels."""

MAX_BYTES = 1 << 28
"""Larger image files are refused unread: 64 M pixels of 16 bits and their headers fit in."""

# What decoders raise on damaged content, besides OSError without a number.
_DAMAGE = (
    SyntaxError,
    ValueError,
    TypeError,
    ArithmeticError,
    EOFError,
    LookupError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """A decoded picture, upright: turned as its EXIF orientation says.

    Attributes:
        values: H×W×C; C is 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGB and alpha), a palette
            is looked up. uint8, 0 black and 255 white; where the file has more than 8 bits,
            numbers as they are stored.
        depths: bits that the values may have, the smallest first; one number where the file says
            it. (8,) for uint8, () for floating-point values.
        white_is_zero: deep values that count from white (a TIFF's WhiteIsZero). uint8 never does.
    """

    values: np.ndarray
    depths: tuple[int, ...] = (8,)
    white_is_zero: bool = False

    @property
    def colours(self) -> np.ndarray:
        """The values without alpha, H×W×1 or H×W×3."""
        return self.values[..., : 1 if self.values.shape[2] < 3 else 3]

    def white_level(self, highest: int = 0) -> int:
        """White where `highest`, or the largest value of the picture if larger, decides.

        Raises:
            UnreadableFrame: values outside 16 bits, or floating-point.
        """
        if not self.depths:
            raise UnreadableFrame("unsupported pixel type F")
        low, high = int(self.colours.min(initial=0)), int(self.colours.max(initial=0))
        return white_level(low, max(high, highest), self.depths)

    def grey(self, white: int | None = None) -> np.ndarray:
        """uint8, H×W. Colour becomes luma (ITU-R 601; equal channels are taken as they are).

        Args:
            white: the value that becomes 255 in a picture of more than 8 bits; None: by the
                picture alone. No value may be above it.

        Raises:
            UnreadableFrame: values outside 16 bits, or floating-point.
        """
        grey = self.colours
        if self.depths == (8,):
            return rgb_to_grayscale(grey)
        white = white or self.white_level()
        grey = grey[..., 0] if _is_grey(grey) else _deep_luma(grey)
        return scale_to_8_bits(white - grey.astype(np.int64) if self.white_is_zero else grey, white)


def read_image(path: Path) -> DecodedImage:
    """Decode one image file.

    Raises:
        UnreadableFrame: the file is missing, empty, damaged, far too large, not an image, or holds
            several pictures. Never a partly decoded picture.
        OSError: the disk or the system failed; this is not a property of the file.
    """
    with file_errors(path, "damaged image", _DAMAGE):
        size = path.stat().st_size
        if size == 0:
            raise UnreadableFrame("empty file")
        if size > MAX_BYTES:
            raise UnreadableFrame("image too large")
        # Read as a whole: asked for the bytes that a damaged chunk claims, a file object sets aside
        # the memory for them before it looks how many there are.
        content = path.read_bytes()
        try:
            with Image.open(io.BytesIO(content)) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise UnreadableFrame("image too large")
                if getattr(image, "n_frames", 1) > 1:
                    raise UnreadableFrame("several pictures in one file")
                image.load()
                return _picture(image, content)
        except UnidentifiedImageError:
            if content.startswith(b"\xff\xd8\xff"):
                raise UnreadableFrame("JPEG that is damaged or not of 8 bits") from None
            # Pillow knows few of the deep forms that a TIFF may have.
            if content[:4] not in {b"II*\0", b"MM\0*"}:
                raise UnreadableFrame("not an image") from None
            return _deep_tiff(content)
        except Image.DecompressionBombError:
            raise UnreadableFrame("image too large") from None


def read_grayscale(path: Path) -> np.ndarray:
    """One image file as grey, uint8 H×W; white is decided by this file alone (`DecodedImage.grey`).

    Raises:
        UnreadableFrame, OSError: as `read_image`; also values outside 16 bits or floating-point.
    """
    return read_image(path).grey()


@contextmanager
def file_errors(path: Path, damaged: str, damage: tuple[type[Exception], ...]) -> Iterator[None]:
    """Turn what is wrong with one file into `UnreadableFrame`.

    A pointer that lies in place of a file (git-annex, Git LFS) is named as that, whatever fails.

    Args:
        path: the file.
        damaged: the reason given for damaged content.
        damage: what the decoder raises on it, besides OSError without a number.

    Raises:
        UnreadableFrame: the file is missing, may not be read, or is damaged.
        OSError: the disk or the system failed; this is not a property of the file.
    """
    try:
        yield
    except UnreadableFrame as error:
        reason = str(error)
    except FileNotFoundError:
        reason = "file missing"
    except PermissionError:
        reason = "no permission to read"
    except damage:
        reason = damaged
    except OSError as error:
        # A damaged offset may lie before the beginning of the file, where nothing can be sought.
        if error.errno not in {None, errno.EINVAL}:
            raise
        reason = damaged
    else:
        return
    raise UnreadableFrame(pointer_reason(path) or reason)


def _picture(image: Image.Image, content: bytes) -> DecodedImage:
    depths = stated_depths(image, content)
    if image.mode.startswith(("I", "F")):
        tiff = isinstance(image, TiffImagePlugin.TiffImageFile)
        white_is_zero = tiff and image.tag_v2.get(262) == 0
        depths = () if image.mode == "F" else depths
        values = np.array(image)[..., None]
        return DecodedImage(turned(values, orientation_of(image)), depths, white_is_zero)
    if depths == (8,):
        return DecodedImage(turned(_eight_bits(image), orientation_of(image)))
    # Pillow would cut the channels to eight bits.
    if image.format == "PNG":
        from benchmark.data.formats.high_bit_depth import read_png

        return DecodedImage(turned(read_png(content), orientation_of(image)), depths)
    if image.format == "TIFF":
        return _deep_tiff(content)
    raise UnreadableFrame(f"unsupported pixel type {image.mode} of more than 8 bits")


def _deep_tiff(content: bytes) -> DecodedImage:
    from benchmark.data.formats.high_bit_depth import read_tiff

    return read_tiff(content)


def _eight_bits(image: Image.Image) -> np.ndarray:
    """Channels of a picture of at most 8 bits, uint8, H×W×C."""
    if image.mode not in {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}:
        raise UnreadableFrame(f"unsupported pixel type {image.mode}")
    clear = image.mode in {"LA", "PA", "RGBA"} or "transparency" in image.info
    mode = "L" if image.mode in {"1", "L", "LA"} else "RGB"
    if clear:
        mode += "A"
    values = np.array(image if image.mode == mode else image.convert(mode), dtype=np.uint8)
    return values.reshape(*values.shape[:2], -1)


def _is_grey(colours: np.ndarray) -> bool:
    return colours.shape[-1] == 1 or bool((colours[..., :1] == colours).all())


def rgb_to_grayscale(colours: np.ndarray) -> np.ndarray:
    """Luma (ITU-R 601) of uint8 H×W×3; equal channels, or one, are as they are. uint8, H×W."""
    if _is_grey(colours):
        return np.ascontiguousarray(colours[..., 0])
    return np.array(Image.fromarray(np.ascontiguousarray(colours)).convert("L"), dtype=np.uint8)


def _deep_luma(colours: np.ndarray) -> np.ndarray:
    # Pillow's weights, which are those of ITU-R 601 in 16 bits.
    weighted = colours.astype(np.int64) @ np.array([19595, 38470, 7471])
    return (weighted + (1 << 15)) >> 16

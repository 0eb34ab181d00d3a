"""Decoding one image file, or refusing it with a short reason."""

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
from benchmark.data.formats.orientation import apply_orientation, orientation_of
from benchmark.data.frame import UnreadableFrame
from benchmark.files.contents import pointer_reason

MAX_PIXELS = 1 << 26
"""Larger images are refused before they are decoded; an angiogram has about 2**20 pixels."""

MAX_IMAGE_BYTES = 1 << 28
"""Larger image files are refused unread; 64 M pixels of 16 bits fit, with their headers."""

# What decoders raise on damaged content, besides OSError without an errno.
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
    """A decoded image, upright according to its EXIF orientation.

    Attributes:
        values: H×W×C with C = 1 (grayscale), 2 (grayscale and alpha), 3 (RGB) or 4 (RGBA);
            palettes are resolved. uint8 with 0 black and 255 white; stored values if the file has
            more than 8 bits.
        depths: candidate bit depths, in ascending order; a single one if the file states it, (8,)
            for uint8, () for floating-point values.
        white_is_zero: inverted intensities of more than 8 bits (a TIFF's WhiteIsZero).
    """

    values: np.ndarray
    depths: tuple[int, ...] = (8,)
    white_is_zero: bool = False

    @property
    def colours(self) -> np.ndarray:
        """The values without alpha, H×W×1 or H×W×3."""
        return self.values[..., : 1 if self.values.shape[2] < 3 else 3]

    def white_level(self, maximum: int = 0) -> int:
        """White level for the larger of `maximum` and the image's own maximum."""
        if not self.depths:
            raise UnreadableFrame("unsupported pixel type F")
        low, high = int(self.colours.min(initial=0)), int(self.colours.max(initial=0))
        return white_level(low, max(high, maximum), self.depths)

    def to_grayscale(self, white: int | None = None) -> np.ndarray:
        """uint8, H×W. Colour is converted to luma (ITU-R 601); equal channels are kept unchanged.

        Args:
            white: white level of an image of more than 8 bits, at least its maximum; None: decided
                by this image alone.
        """
        colours = self.colours
        if self.depths == (8,):
            return rgb_to_grayscale(colours)
        white = white or self.white_level()
        if _is_gray(colours):
            levels = colours[..., 0].astype(np.int64)
        else:  # Pillow's weights: ITU-R 601 in 16 bits
            levels = colours.astype(np.int64) @ np.array([19595, 38470, 7471])
            levels = (levels + (1 << 15)) >> 16
        return scale_to_8_bits(white - levels if self.white_is_zero else levels, white)


def read_image(path: Path) -> DecodedImage:
    """Decode one image file, completely or not at all."""
    with file_errors(path, "damaged image", _DAMAGE):
        check_file_size(path, MAX_IMAGE_BYTES, "image")
        # Read into memory first: from a file object, Pillow allocates what a damaged chunk claims
        # before it checks how many bytes there are.
        content = path.read_bytes()
        try:
            with Image.open(io.BytesIO(content)) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise UnreadableFrame("image too large")
                if getattr(image, "n_frames", 1) > 1:
                    raise UnreadableFrame("more than one image in the file")
                image.load()
                return _decode(image, content)
        except UnidentifiedImageError:
            if content.startswith(b"\xff\xd8\xff"):
                raise UnreadableFrame("damaged JPEG, or not 8-bit") from None
            # Pillow knows few of the TIFF variants of more than 8 bits.
            if content[:4] not in {b"II*\0", b"MM\0*"}:
                raise UnreadableFrame("not an image") from None
            from benchmark.data.formats.high_bit_depth import read_tiff

            return read_tiff(content)
        except Image.DecompressionBombError:
            raise UnreadableFrame("image too large") from None


def read_grayscale(path: str | Path) -> np.ndarray:
    """Decode one image to uint8, H×W; its own values alone decide the white level."""
    return read_image(Path(path)).to_grayscale()


def check_file_size(path: Path, most: int, kind: str) -> int:
    """Size of a file in bytes; `UnreadableFrame` if it is 0 or more than `most`."""
    size = path.stat().st_size
    if size == 0:
        raise UnreadableFrame("empty file")
    if size > most:
        raise UnreadableFrame(f"{kind} too large")
    return size


@contextmanager
def file_errors(path: Path, damaged: str, damage: tuple[type[Exception], ...]) -> Iterator[None]:
    """Turn errors caused by one file into `UnreadableFrame`.

    A pointer in place of the file (git-annex, Git LFS) is reported as such, whatever fails.

    Args:
        path: the file.
        damaged: reason given for damaged content.
        damage: what the decoder raises on it, besides OSError without an errno.
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
        # EINVAL: a damaged offset may point before the start of the file.
        if error.errno not in {None, errno.EINVAL}:
            raise
        reason = damaged
    else:
        return
    raise UnreadableFrame(pointer_reason(path) or reason)


def _decode(image: Image.Image, content: bytes) -> DecodedImage:
    depths, white_is_zero = stated_depths(image, content), False
    if image.mode.startswith(("I", "F")):
        tiff = isinstance(image, TiffImagePlugin.TiffImageFile)
        white_is_zero = tiff and image.tag_v2.get(262) == 0
        depths = () if image.mode == "F" else depths
        values = np.array(image)[..., None]
    elif depths == (8,):
        values = _eight_bit_channels(image)
    elif image.format == "TIFF":
        from benchmark.data.formats.high_bit_depth import read_tiff

        return read_tiff(content)
    elif image.format == "PNG":  # Pillow truncates its channels to 8 bits
        from benchmark.data.formats.high_bit_depth import read_png

        values = read_png(content)
    else:
        raise UnreadableFrame(f"unsupported pixel type {image.mode} of more than 8 bits")
    return DecodedImage(apply_orientation(values, orientation_of(image)), depths, white_is_zero)


def _eight_bit_channels(image: Image.Image) -> np.ndarray:
    """Channels of an image of at most 8 bits, uint8, H×W×C."""
    if image.mode not in {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}:
        raise UnreadableFrame(f"unsupported pixel type {image.mode}")
    has_alpha = image.mode in {"LA", "PA", "RGBA"} or "transparency" in image.info
    mode = "L" if image.mode in {"1", "L", "LA"} else "RGB"
    if has_alpha:
        mode += "A"
    values = np.array(image if image.mode == mode else image.convert(mode), dtype=np.uint8)
    return values.reshape(*values.shape[:2], -1)


def _is_gray(colours: np.ndarray) -> bool:
    return colours.shape[-1] == 1 or bool((colours[..., :1] == colours).all())


def rgb_to_grayscale(colours: np.ndarray) -> np.ndarray:
    """Luma (ITU-R 601) of uint8 H×W×C; one or equal channels are kept unchanged. uint8, H×W."""
    if _is_gray(colours):
        return np.ascontiguousarray(colours[..., 0])
    return np.array(Image.fromarray(np.ascontiguousarray(colours)).convert("L"), dtype=np.uint8)

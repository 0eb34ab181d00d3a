"""White levels of images that do not state their bit depth: one per file set."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from benchmark.data.formats.images import DecodedImage, read_image
from benchmark.data.frame import UnreadableFrame

FileSet = tuple[str, Iterable[Path]]
Depths = tuple[int, ...]
Maximum = tuple[Depths, int]
Apply = Callable[[Callable[[Path], "Maximum | None"], Iterable[Path]], Iterable["Maximum | None"]]

_HIGH_BIT_DEPTH_FORMATS = (b"\x89PNG\r\n\x1a\n", b"II", b"MM", b"P2", b"P5")


def maximum_value(path: Path) -> Maximum | None:
    """Candidate bit depths and maximum value of an image that does not state its bit depth.

    None for all other images and for unreadable ones, which decide nothing.
    """
    try:
        image = read_image(path) if _may_exceed_8_bits(path) else None
        if image is None or len(image.depths) < 2:
            return None
        image.white_level()
    except UnreadableFrame:
        return None
    return image.depths, int(image.colours.max(initial=0))


def _may_exceed_8_bits(path: Path) -> bool:
    """Whether the header allows for more than 8 bits, which spares decoding most images."""
    try:
        with path.open("rb") as stream:
            head = stream.read(26)
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        return False
    if not head.startswith(_HIGH_BIT_DEPTH_FORMATS):
        return False
    return head[24:25] == b"\x10" if head.startswith(b"\x89PNG") else True


class WhiteLevels:
    """White levels of file sets, each measured once, when its first image is read.

    Args:
        file_set: maps an image to the name and files of its set.
    """

    def __init__(self, file_set: Callable[[Path], FileSet]) -> None:
        self._file_set = file_set
        # Folder of an image → name of its set → maximum by possible depths.
        self._names: dict[Path, str] = {}
        self._maxima: dict[str, dict[Depths, int]] = {}

    def measure(self, path: Path, apply: Apply = map) -> str:
        """Measure the set that `path` belongs to, unless done already, and return its name.

        `apply` is `map` or a parallel equivalent.
        """
        if path.parent not in self._names:
            name, files = self._file_set(path)
            if name not in self._maxima:
                maxima: dict[Depths, int] = {}
                for depths, value in filter(None, apply(maximum_value, files)):
                    maxima[depths] = max(value, maxima.get(depths, 0))
                self._maxima[name] = maxima
            self._names[path.parent] = name
        return self._names[path.parent]

    def prepare(self, paths: Iterable[Path], apply: Apply) -> None:
        """Measure the sets of `paths` ahead, judging each folder by its first image.

        Sets missed in a mixed folder are measured when they are read.
        """
        first: dict[Path, Path] = {}
        for path in paths:
            first.setdefault(path.parent, path)
        for path in first.values():
            if maximum_value(path) is not None:
                self.measure(path, apply)

    def white(self, path: Path, image: DecodedImage) -> tuple[int, str]:
        """White level of an image, and the name of its file set."""
        name = self.measure(path)
        return image.white_level(self._maxima[name].get(image.depths, 0)), name

"""White of pictures whose files do not say how many of their bits are used: one per file set."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from benchmark.data.formats.images import DecodedImage, read_image
from benchmark.data.frame import UnreadableFrame

FileSet = tuple[str, Iterable[Path]]
Depths = tuple[int, ...]
Highest = tuple[Depths, int]
Apply = Callable[[Callable[[Path], "Highest | None"], Iterable[Path]], Iterable["Highest | None"]]

_DEEP_FORMATS = (b"\x89PNG\r\n\x1a\n", b"II", b"MM", b"P2", b"P5")


def highest_value(path: Path) -> Highest | None:
    """Possible depths and largest value of a picture whose file leaves its depth open.

    None for all others, and for those that cannot be read: they decide nothing.

    Raises:
        OSError: the disk or the system failed.
    """
    try:
        picture = read_image(path) if _may_be_deep(path) else None
        if picture is None or len(picture.depths) < 2:
            return None
        picture.white_level()
    except UnreadableFrame:
        return None
    return picture.depths, int(picture.colours.max(initial=0))


def _may_be_deep(path: Path) -> bool:
    """Whether the first bytes are those of a picture with more than eight bits; most are not."""
    try:
        with path.open("rb") as stream:
            head = stream.read(26)
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        return False
    if not head.startswith(_DEEP_FORMATS):
        return False
    return head[24:25] == b"\x10" if head.startswith(b"\x89PNG") else True


class WhiteLevels:
    """White levels of file sets, each measured once, when its first picture is read.

    Args:
        file_set: name and files of the set that a picture belongs to.
    """

    def __init__(self, file_set: Callable[[Path], FileSet]) -> None:
        self._file_set = file_set
        # Folder of a picture → name of its set → largest value of each kind of picture in it.
        self._names: dict[Path, str] = {}
        self._highest: dict[str, dict[Depths, int]] = {}

    def measure(self, path: Path, apply: Apply = map) -> str:
        """Read all pictures of the set that `path` belongs to, unless that was done.

        Args:
            path: a picture.
            apply: `map`, or one that uses several processes.

        Returns:
            The name of the set.

        Raises:
            OSError: the disk or the system failed.
        """
        if path.parent not in self._names:
            name, files = self._file_set(path)
            if name not in self._highest:
                highest: dict[Depths, int] = {}
                for depths, value in filter(None, apply(highest_value, files)):
                    highest[depths] = max(value, highest.get(depths, 0))
                self._highest[name] = highest
            self._names[path.parent] = name
        return self._names[path.parent]

    def prepare(self, paths: Iterable[Path], apply: Apply) -> None:
        """Measure the sets of `paths`, looking at the first picture of each folder only.

        What it overlooks in a folder of mixed pictures is measured when it is read.

        Raises:
            OSError: the disk or the system failed.
        """
        met: set[Path] = set()
        for path in paths:
            if path.parent not in met:
                met.add(path.parent)
                if highest_value(path) is not None:
                    self.measure(path, apply)

    def white(self, path: Path, picture: DecodedImage) -> tuple[int, str]:
        """White of a picture, and the name of its file set.

        Raises:
            UnreadableFrame: values outside 16 bits.
            OSError: the disk or the system failed.
        """
        name = self.measure(path)
        return picture.white_level(self._highest[name].get(picture.depths, 0)), name

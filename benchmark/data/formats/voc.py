"""Boxes in Pascal VOC's XML format (Everingham et al., IJCV 2010), read as untrusted input."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from benchmark.data.formats.annotations import BOX_EDGES, Box, class_name, clip_box, parse_box
from benchmark.data.frame import UnreadableFrame
from benchmark.files.contents import pointer_reason

if TYPE_CHECKING:
    import numpy as np

    from benchmark.data.formats.headers import Header

MAX_XML_BYTES = 1 << 20

# A DTD may define entities that expand without bound or fetch files.
_DECLARATION = re.compile(r"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)


@dataclass
class VOCAnnotation:
    """The annotation of one image.

    Attributes:
        size: claimed (height, width), or None.
        boxes: class name and box of each usable object.
        errors: reasons for unusable objects.
    """

    size: tuple[int, int] | None = None
    boxes: list[tuple[str, Box]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether the image is annotated as containing no object."""
        return not self.boxes and not self.errors

    def add(self, name: str, edges: Sequence[str]) -> None:
        """Add an object: its box, or the reason why there is none."""
        box = parse_box(edges)
        if isinstance(box, str):
            self.errors.append(box)
        else:
            self.boxes.append((class_name(name) or "", box))

    def usable(
        self, size: tuple[int, int], classes: Sequence[str]
    ) -> tuple[list[tuple[int, Box]], list[str]]:
        """Class index and clipped box of each object, and notes on everything unusual.

        `size` is the height and width of the image itself; `classes` are in lower case.
        """
        boxes, notes = [], list(self.errors)
        for name, box in self.boxes:
            if name not in classes:
                notes.append("object of an unknown class")
                continue
            inside, note = clip_box(box, *size)
            if inside != box and self.size not in (None, size):
                # A clipped box of another image size would be misplaced.
                inside, note = None, "box for a different image size"
            if inside is not None:
                boxes.append((classes.index(name), inside))
            notes += [note] if note else []
        return boxes, notes


def upright_boxes(annotation: VOCAnnotation, header: Header, classes: Sequence[str]) -> np.ndarray:
    """Usable boxes of an image inside the upright image, float64, N×5, as `Source.read_boxes`.

    Raises:
        UnreadableFrame: there are objects, and none of them can be used.
    """
    import numpy as np

    from benchmark.data.formats.orientation import orient_boxes

    size = header.annotated_size(annotation.size)
    found, _ = annotation.usable(size, classes)
    if not found and not annotation.empty:
        raise UnreadableFrame("no usable box")
    boxes = np.array([(*box, index) for index, box in found], np.float64).reshape(-1, 5)
    return boxes if size == header.size else orient_boxes(boxes, header.orientation, *header.stored)


def read_voc(path: Path) -> VOCAnnotation:
    """Read the annotation of one image; the file name and path in it are ignored."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_XML_BYTES + 1)
    except FileNotFoundError:
        raise UnreadableFrame(pointer_reason(path) or "annotation missing") from None
    except (PermissionError, IsADirectoryError):
        raise UnreadableFrame("annotation cannot be opened") from None
    if len(content) > MAX_XML_BYTES:
        raise UnreadableFrame("annotation too large")
    # Tags and numbers are ASCII; the encoding of paths does not matter.
    text = content.decode("utf-8-sig", errors="replace")
    if _DECLARATION.search(text):
        raise UnreadableFrame("annotation with a DOCTYPE")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError):
        raise UnreadableFrame(pointer_reason(path) or "damaged annotation") from None
    annotation = VOCAnnotation(
        parse_size(root.findtext("size/height", ""), root.findtext("size/width", ""))
    )
    for item in root.iter("object"):
        edges = [item.findtext(f"bndbox/{edge}", "") for edge in BOX_EDGES]
        annotation.add(item.findtext("name", ""), edges)
    return annotation


def parse_size(height: str, width: str) -> tuple[int, int] | None:
    """Parse height and width; None if either is not an integer."""
    if not all(re.fullmatch(r"\s*\d{1,9}\s*", side, re.ASCII) for side in (height, width)):
        return None
    return int(height), int(width)

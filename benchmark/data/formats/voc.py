"""Boxes in Pascal VOC's XML format (Everingham et al., IJCV 2010), read without trusting it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from benchmark.data.formats.annotations import EDGES, Box, class_name, fit_box, read_box
from benchmark.data.formats.pointers import pointer_reason
from benchmark.data.frame import UnreadableFrame

MAX_XML_BYTES = 1 << 20

# A document type may define entities that multiply without end or fetch files.
_DECLARATION = re.compile(r"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)


@dataclass(frozen=True)
class VOCAnnotation:
    """What the file of one image says: claimed (height, width), and (class, box) for each object.

    `faults` are the reasons for the objects that cannot be used.
    """

    size: tuple[int, int] | None
    boxes: list[tuple[str, Box]]
    faults: list[str]

    @property
    def empty(self) -> bool:
        """Whether the image is annotated as showing nothing."""
        return not self.boxes and not self.faults

    def usable(
        self, size: tuple[int, int], classes: Sequence[str]
    ) -> tuple[list[tuple[int, Box]], list[str]]:
        """Index of the class and box inside the picture for each object, and all that is odd.

        Args:
            size: height and width of the picture itself.
            classes: names of the classes, in lower case.
        """
        boxes, notes = [], list(self.faults)
        for name, box in self.boxes:
            if name not in classes:
                notes.append("object of an unknown class")
                continue
            inside, note = fit_box(box, *size)
            if inside != box and self.size not in (None, size):
                # Cut off, it would be somewhere else than what was annotated.
                inside, note = None, "box for a picture of another size"
            if inside is not None:
                boxes.append((classes.index(name), inside))
            notes += [note] if note else []
        return boxes, notes


def read_voc(path: Path) -> VOCAnnotation:
    """Read the annotation of one image; the file name and path it gives are not looked at.

    Raises:
        UnreadableFrame: the file is missing, too large, not XML, or defines entities.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_XML_BYTES + 1)
    except FileNotFoundError:
        raise UnreadableFrame(pointer_reason(path) or "annotation missing") from None
    except (PermissionError, IsADirectoryError):
        raise UnreadableFrame("annotation cannot be opened") from None
    if len(content) > MAX_XML_BYTES:
        raise UnreadableFrame("annotation too large")
    # Tags and numbers are ASCII; the paths, in whatever encoding, do not matter.
    text = content.decode("utf-8-sig", errors="replace")
    if _DECLARATION.search(text):
        raise UnreadableFrame("annotation with a document type")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError):
        raise UnreadableFrame(pointer_reason(path) or "damaged annotation") from None
    listed = VOCAnnotation(
        parse_size(root.findtext("size/height", ""), root.findtext("size/width", "")), [], []
    )
    for item in root.iter("object"):
        edges = [item.findtext(f"bndbox/{edge}", "") for edge in EDGES]
        add_object(listed, item.findtext("name", ""), edges)
    return listed


def add_object(listed: VOCAnnotation, name: str, edges: Sequence[str]) -> None:
    """Add an object to what is known of its image: its box, or why there is none."""
    box = read_box(edges)
    if isinstance(box, str):
        listed.faults.append(box)
    else:
        listed.boxes.append((class_name(name) or "", box))


def parse_size(height: str, width: str) -> tuple[int, int] | None:
    """Height and width from their text; None where either is not a whole number."""
    sides = height.strip(), width.strip()
    if not all(re.fullmatch(r"\d{1,9}", side, re.ASCII) for side in sides):
        return None
    return int(sides[0]), int(sides[1])

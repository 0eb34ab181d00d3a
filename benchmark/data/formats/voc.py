"""Boxes in Pascal VOC's XML format (Everingham et al., IJCV 2010), read without trusting it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from benchmark.data.frame import UnreadableFrame
from benchmark.data.listed import MAX_COORDINATE

MAX_XML_BYTES = 1 << 20
EDGES = ("xmin", "ymin", "xmax", "ymax")

# A document type may define entities that multiply without end or fetch files.
_DECLARATION = re.compile(r"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Listed:
    """What the file of one image says: claimed (height, width), and (class, box) for each object.

    `faults` are the reasons for the objects that are left out.
    """

    size: tuple[int, int] | None
    boxes: list[tuple[str, Box]]
    faults: list[str]


def read_voc(path: Path) -> Listed:
    """Read the annotation of one image; the file name and path it gives are not looked at.

    Raises:
        UnreadableFrame: the file is missing, too large, not XML, or defines entities.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_XML_BYTES + 1)
    except FileNotFoundError:
        raise UnreadableFrame("annotation missing") from None
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
        raise UnreadableFrame("damaged annotation") from None
    boxes: list[tuple[str, Box]] = []
    faults: list[str] = []
    for item in root.iter("object"):
        edges = [item.findtext(f"bndbox/{edge}", "") for edge in EDGES]
        box = parse_box(edges)
        if isinstance(box, str):
            faults.append(box)
        else:
            boxes.append((item.findtext("name", "").strip().casefold(), box))
    size = parse_size(root.findtext("size/height", ""), root.findtext("size/width", ""))
    return Listed(size, boxes, faults)


def parse_size(height: str, width: str) -> tuple[int, int] | None:
    """Height and width from their text; None where either is not a whole number."""
    sides = height.strip(), width.strip()
    if not all(re.fullmatch(r"\d{1,9}", side, re.ASCII) for side in sides):
        return None
    return int(sides[0]), int(sides[1])


def parse_box(edges: Sequence[str]) -> Box | str:
    """x0, y0, x1, y1 from their text, or the reason why they are no box."""
    try:
        x0, y0, x1, y1 = (float(edge) for edge in edges)
    except ValueError:
        return "damaged box"
    if not all(math.isfinite(edge) and abs(edge) <= MAX_COORDINATE for edge in (x0, y0, x1, y1)):
        return "damaged box"
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else "degenerate box"


def clip_box(box: Box, height: int, width: int) -> Box | None:
    """The part of a box inside the picture; None if there is none."""
    x0, x1 = (min(max(edge, 0.0), float(width)) for edge in box[::2])
    y0, y1 = (min(max(edge, 0.0), float(height)) for edge in box[1::2])
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None

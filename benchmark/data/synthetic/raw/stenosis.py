"""The stenosis detection dataset (Mendeley Data ydrm75xywg) with synthetic frames."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from benchmark.data.synthetic.raw.dataset import RawDataset, truncate
from benchmark.data.synthetic.render import SyntheticFrame

FRAMES = (3, 4)
"""Numbers of the frames written for each patient's video."""

PATIENTS = 10

_HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax"

Box = Sequence[float]


def patients_with_stenoses(raw: RawDataset) -> Iterator[int]:
    """Patients of the population whose video 0 shows a stenosis in every one of `FRAMES`."""
    for patient in itertools.count():
        if all(raw.draw(patient, frame=frame).stenoses for frame in FRAMES):
            yield patient


def frame_name(position: int, frame: int) -> str:
    """File name of a frame of the patient at this position, counted from 0."""
    return f"14_{position + 2:03d}_1_{frame:04d}.bmp"


def _xml(name: str, size: tuple[int, int], boxes: Sequence[Box]) -> str:
    """An annotation as written by LabelImg, with the annotator's path."""
    objects = "".join(
        "<object><name>Stenosis</name><pose>Unspecified</pose><truncated>0</truncated>"
        f"<difficult>0</difficult><bndbox><xmin>{x0:g}</xmin><ymin>{y0:g}</ymin>"
        f"<xmax>{x1:g}</xmax><ymax>{y1:g}</ymax></bndbox></object>"
        for x0, y0, x1, y1 in boxes
    )
    return (
        f"<annotation><folder>data</folder><filename>{name}</filename>"
        f"<path>D:\\LabelImg\\data\\{name}</path>"
        f"<size><width>{size[1]}</width><height>{size[0]}</height><depth>1</depth></size>"
        f"<segmented>0</segmented>{objects}</annotation>"
    )


class _FrameWriter:
    """Writes frames with their boxes, and collects the rows of the two lists."""

    def __init__(self, raw: RawDataset) -> None:
        self.raw = raw
        self.lists: dict[str, list[str]] = {"train": [], "test": []}

    def frame(
        self,
        name: str,
        drawn: SyntheticFrame,
        split: str | None,
        boxes: Sequence[Box] | None = None,
        listed: Sequence[Box] | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Write image, XML and rows; `boxes` (XML) and `listed` (csv) default to the truth."""
        boxes = [stenosis.box for stenosis in drawn.stenoses] if boxes is None else boxes
        size = size or drawn.image.shape
        self.raw.save(f"dataset/{name}", drawn.image, mode="RGB")
        self.raw.write(f"dataset/{name[:-4]}.xml", _xml(name, size, boxes))
        if split is not None:
            self.rows(name, split, boxes if listed is None else listed, size)

    def rows(self, name: str, split: str, boxes: Sequence[Box], size: tuple[int, int]) -> None:
        for box in boxes:
            edges = ",".join(f"{edge:g}" for edge in box)
            self.lists[split].append(f"{name},{size[1]},{size[0]},Stenosis,{edges}")


def write_stenosis(raw: RawDataset) -> None:
    """Two frames of each of ten patients; every tenth frame is in the test list.

    The counts are for the official split. By patient, the two frames of one patient are test.
    """
    writer = _FrameWriter(raw)
    drawn: list[SyntheticFrame] = []
    for position, patient in enumerate(itertools.islice(patients_with_stenoses(raw), PATIENTS)):
        for frame in FRAMES:
            drawn.append(raw.draw(patient, frame=frame))
            split = "test" if len(drawn) % 10 == 0 else "train"
            writer.frame(frame_name(position, frame), drawn[-1], split)
            raw.frames[split] += 1
    raw.write("14_002_1.avi", b"RIFF")
    raw.write("patients.xlsx", b"PK")
    if raw.defects:
        _add_defects(raw, writer, drawn[:: len(FRAMES)])
        upper = raw.root / "dataset" / frame_name(9, FRAMES[0])
        upper.rename(upper.with_suffix(".BMP"))
        raw.save(f"dataset/{frame_name(8, FRAMES[0])}", drawn[16].image, mode="L")
        raw.clutter("dataset")
        raw.clutter()
    for split, rows in writer.lists.items():
        raw.write(f"{split}_labels.csv", "\r\n".join([_HEADER, *rows, ""]))


def _add_defects(raw: RawDataset, writer: _FrameWriter, drawn: Sequence[SyntheticFrame]) -> None:
    """More frames of the same patients (video 2), each with its own defect."""
    number = itertools.count(1)
    side = raw.size

    def name(position: int) -> str:
        return f"14_{position + 2:03d}_2_{next(number):04d}"

    def defect(
        position: int, *reasons: str, split: str | None = "train", usable: bool = True, **options
    ) -> str:
        """A frame that gives these reasons; its path without the extension."""
        stem = name(position)
        writer.frame(f"{stem}.bmp", drawn[position], split, **options)
        raw.skipped.update(reasons)
        raw.frames[split] += usable
        return f"dataset/{stem}"

    valid = (4.0, 5.0, 20.0, 25.0)
    swapped = (*valid[2:], *valid[:2])
    beyond = (30.0, 30.0, side + 9.0, side + 9.0)
    defect(0, boxes=[valid, (30.0, 30.0, 50.0, 41.0)])
    defect(0, "box of zero area", boxes=[valid, (30.0, 30.0, 30.0, 41.0)])
    defect(0, "box clipped to the image", boxes=[(-5.0, 5.0, 20.0, side + 9.0)])
    defect(0, "box outside the image", boxes=[valid, (side + 1.0, 0.0, side + 9.0, 9.0)])
    defect(1, "listed size differs from the image", size=(2 * side, side))
    defect(1, "list and annotation disagree", listed=[valid])
    unlisted = "frame not in any split list"
    defect(1, unlisted, split=None)
    defect(1, unlisted, "no object in the annotation", split=None, boxes=[])

    from_list = "boxes taken from the list"
    (raw.root / f"{defect(2, from_list, split='test')}.xml").unlink()
    cut = defect(2, from_list, "damaged annotation", split="test")
    truncate(raw.root / f"{cut}.xml")
    bomb = defect(2, from_list, "annotation with a DOCTYPE", split="test")
    entity = f'<!DOCTYPE a [<!ENTITY b "{"x" * 99}">]><annotation>&b;</annotation>'
    raw.write(f"{bomb}.xml", entity)

    truncate(raw.root / f"{defect(3, 'damaged image', usable=False)}.bmp")
    image = drawn[3].image
    alone = f"dataset/{name(3)}.bmp"
    raw.save(alone, image, mode="RGB", skipped="image without an annotation")
    orphan = name(3)
    text = _xml(f"{orphan}.bmp", (side, side), [valid])
    raw.write(f"dataset/{orphan}.xml", text, skipped="annotation without an image")
    for listed, reason in (
        (f"{name(3)}.bmp", "listed image missing"),
        ("../14_002_1_0003.bmp", "file name points outside the folder"),
        # A frame in both lists stays in training.
        (frame_name(0, FRAMES[0]), "frame in two lists"),
    ):
        writer.rows(listed, "test", [valid], (side, side))
        raw.skipped[reason] += 1
    no_name = "file name is not patient, video and frame"
    raw.save("dataset/overview.bmp", image, skipped=no_name)

    for box, size, *reasons in (
        (swapped, None, "box with swapped corners"),
        ((0.1, 0.2, 0.3, 0.4), None, "box in normalised coordinates, not pixels"),
        ((5.0, 5.0, 5.5, 20.0), None, "box narrower than one pixel"),
        (
            beyond,
            (2 * side, 2 * side),
            "box for a different image size",
            "listed size differs from the image",
        ),
    ):
        defect(4, "no usable box", *reasons, usable=False, boxes=[box], listed=[box], size=size)
    defect(4, "list and annotation disagree", from_list, boxes=[swapped], listed=[valid])

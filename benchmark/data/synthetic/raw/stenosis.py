"""The stenosis detection dataset (Mendeley Data ydrm75xywg) with synthetic frames."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from benchmark.data.synthetic.raw.layout import Canvas, RawLayout, truncate
from benchmark.data.synthetic.render import SyntheticFrame

FRAMES = (3, 4)
"""Numbers of the frames written for each patient's video."""

PATIENTS = 10

_HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax"

Box = Sequence[float]


def patients_with_stenoses(canvas: Canvas) -> Iterator[int]:
    """Patients of the population whose video 0 shows a stenosis in every one of `FRAMES`."""
    for patient in itertools.count():
        if all(canvas.draw(patient, frame=frame).stenoses for frame in FRAMES):
            yield patient


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
    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
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
        truth = [stenosis.box for stenosis in drawn.stenoses]
        boxes = truth if boxes is None else boxes
        size = size or drawn.image.shape
        self.canvas.save(f"dataset/{name}", drawn.image, mode="RGB")
        self.canvas.write(f"dataset/{name[:-4]}.xml", _xml(name, size, boxes))
        if split is not None:
            self.rows(name, split, boxes if listed is None else listed, size)

    def rows(self, name: str, split: str, boxes: Sequence[Box], size: tuple[int, int]) -> None:
        for box in boxes:
            edges = ",".join(f"{edge:g}" for edge in box)
            self.lists[split].append(f"{name},{size[1]},{size[0]},Stenosis,{edges}")

    def write_lists(self) -> None:
        for split, rows in self.lists.items():
            self.canvas.write(f"{split}_labels.csv", "\r\n".join([_HEADER, *rows, ""]))


def frame_name(position: int, frame: int) -> str:
    """File name of a frame of the patient at this position, counted from 0."""
    return f"14_{position + 2:03d}_1_{frame:04d}.bmp"


def write_stenosis(canvas: Canvas) -> RawLayout:
    """Two frames of each of ten patients; every tenth frame is in the test list.

    The counts are for the official split. By patient, the two frames of one patient are test.
    """
    writer = _FrameWriter(canvas)
    layout = canvas.layout
    drawn: list[SyntheticFrame] = []
    for position, patient in enumerate(itertools.islice(patients_with_stenoses(canvas), PATIENTS)):
        for frame in FRAMES:
            drawn.append(canvas.draw(patient, frame=frame))
            split = "test" if len(drawn) % 10 == 0 else "train"
            writer.frame(frame_name(position, frame), drawn[-1], split)
            layout.frames[split] += 1
    canvas.write("14_002_1.avi", b"RIFF")
    canvas.write("patients.xlsx", b"PK")
    if canvas.defects:
        _add_defects(canvas, writer, layout, drawn)
    writer.write_lists()
    return layout


def _add_defects(
    canvas: Canvas, writer: _FrameWriter, layout: RawLayout, drawn: Sequence[SyntheticFrame]
) -> None:
    """More frames of the same patients (video 2), each with its own defect."""
    number = itertools.count(1)
    side = canvas.size

    def name(position: int) -> str:
        return f"14_{position + 2:03d}_2_{next(number):04d}.bmp"

    def expect(reason: str | None, split: str | None = "train", usable: bool = True) -> None:
        if reason is not None:
            layout.skipped[reason] += 1
        if usable:
            layout.frames[split] += 1

    valid = (4.0, 5.0, 20.0, 25.0)
    writer.frame(name(0), drawn[0], "train", boxes=[valid, (30.0, 30.0, 50.0, 41.0)])
    expect(None)
    writer.frame(name(0), drawn[0], "train", boxes=[valid, (30.0, 30.0, 30.0, 41.0)])
    expect("box of zero area")
    writer.frame(name(0), drawn[0], "train", boxes=[(-5.0, 5.0, 20.0, side + 9.0)])
    expect("box clipped to the image")
    writer.frame(name(0), drawn[0], "train", boxes=[valid, (side + 1.0, 0.0, side + 9.0, 9.0)])
    expect("box outside the image")
    writer.frame(name(1), drawn[2], "train", size=(2 * side, side))
    expect("listed size differs from the image")
    writer.frame(name(1), drawn[2], "train", listed=[valid])
    expect("list and annotation disagree")
    writer.frame(name(1), drawn[2], None)
    expect("frame not in any split list", split=None)
    writer.frame(name(1), drawn[2], None, boxes=[])
    expect("no object in the annotation", split=None)
    layout.skipped["frame not in any split list"] += 1

    missing = name(2)
    writer.frame(missing, drawn[4], "test")
    (canvas.root / "dataset" / f"{missing[:-4]}.xml").unlink()
    expect("boxes taken from the list", split="test")
    cut = name(2)
    writer.frame(cut, drawn[4], "test")
    truncate(canvas.root / "dataset" / f"{cut[:-4]}.xml")
    expect("boxes taken from the list", split="test")
    layout.skipped["damaged annotation"] += 1
    bomb = name(2)
    writer.frame(bomb, drawn[4], "test")
    entity = f'<!DOCTYPE a [<!ENTITY b "{"x" * 99}">]><annotation>&b;</annotation>'
    canvas.write(f"dataset/{bomb[:-4]}.xml", entity)
    expect("boxes taken from the list", split="test")
    layout.skipped["annotation with a DOCTYPE"] += 1

    damaged = name(3)
    writer.frame(damaged, drawn[6], "train")
    truncate(canvas.root / "dataset" / damaged)
    expect("damaged image", usable=False)
    alone = name(3)
    canvas.save(f"dataset/{alone}", drawn[6].image, mode="RGB")
    expect("image without an annotation", usable=False)
    orphan = name(3)
    canvas.write(f"dataset/{orphan[:-4]}.xml", _xml(orphan, (side, side), [valid]))
    expect("annotation without an image", usable=False)
    writer.rows(name(3), "test", [valid], (side, side))
    expect("listed image missing", usable=False)
    writer.rows("../14_002_1_0003.bmp", "test", [valid], (side, side))
    expect("file name points outside the folder", usable=False)
    canvas.save("dataset/overview.bmp", drawn[6].image)
    expect("file name is not patient, video and frame", usable=False)
    # A frame in both lists stays in training.
    writer.rows(frame_name(0, FRAMES[0]), "test", [valid], (side, side))
    layout.skipped["frame in two lists"] += 1
    for reason, box in (
        ("box with swapped corners", valid[2:] + valid[:2]),
        ("box in normalised coordinates, not pixels", (0.1, 0.2, 0.3, 0.4)),
        ("box narrower than one pixel", (5.0, 5.0, 5.5, 20.0)),
    ):
        writer.frame(name(4), drawn[8], "train", boxes=[box], listed=[box])
        expect(reason, usable=False)
        layout.skipped["no usable box"] += 1
    beyond = (30.0, 30.0, side + 9.0, side + 9.0)
    writer.frame(name(4), drawn[8], "train", [beyond], [beyond], size=(2 * side, 2 * side))
    expect("box for a different image size", usable=False)
    layout.skipped["listed size differs from the image"] += 1
    layout.skipped["no usable box"] += 1
    writer.frame(name(4), drawn[8], "train", boxes=[valid[2:] + valid[:2]], listed=[valid])
    expect("list and annotation disagree")
    layout.skipped["boxes taken from the list"] += 1

    upper = canvas.root / "dataset" / frame_name(9, FRAMES[0])
    upper.rename(upper.with_suffix(".BMP"))
    canvas.save(f"dataset/{frame_name(8, FRAMES[0])}", drawn[16].image, mode="L")
    canvas.clutter("dataset")
    canvas.clutter()

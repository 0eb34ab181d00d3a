"""Boxes in VOC's XML files, in every accepted layout."""

from __future__ import annotations

from pathlib import Path

import pytest
from raw_layouts import picture, save

from benchmark.errors import InputError

NUMBERS = {"train": range(4), "test": range(4, 7)}
LAYOUTS = {
    "beside": ("{split}", "{split}"),
    "inside": ("{split}/images", "{split}/annotations"),
    "outside": ("images/{split}", "Annotations/{split}"),
    "nested": ("images/{split}/p1", "labels/{split}/p1"),
    "images only": ("JPEGImages/{split}", "Annotations"),
}


def _xml(objects: list[tuple[str, tuple[float, ...]]], size: tuple[int, int] = (40, 44)) -> str:
    found = "".join(
        f"<object><name>{name}</name><bndbox>"
        + "".join(f"<{e}>{v}</{e}>" for e, v in zip(("xmin", "ymin", "xmax", "ymax"), box))
        + "</bndbox></object>"
        for name, box in objects
    )
    sizes = f"<size><width>{size[1]}</width><height>{size[0]}</height></size>"
    return f"<annotation>{sizes}{found}</annotation>"


def _objects(number: int) -> list[tuple[str, tuple[float, ...]]]:
    one = ("Stenosis", (number, 2, number + 10, 20))
    return [one, ("occlusion", (1, 1, 9, 30))] if number % 2 else [one]


def _boxes(number: int) -> list[list[float]]:
    boxes = [[number, 2, number + 10, 20, 1]]
    return [*boxes, [1, 1, 9, 30, 0]] if number % 2 else boxes


def _write(root: Path, layout: str) -> None:
    images, annotations = LAYOUTS[layout]
    for split, numbers in NUMBERS.items():
        for number in numbers:
            save(root / images.format(split=split) / f"{number}.png", picture(number, 40, 44))
            path = root / annotations.format(split=split) / f"{number}.xml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_xml(_objects(number)))


def _number(item: dict) -> int:
    return int(Path(item["path"]).stem)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_boxes_are_those_written(tmp_path, prepare, opened, layout):
    _write(tmp_path / "raw", layout)
    assert "(VOC) in " in opened().layout
    folder = prepare("detection", name="mine")
    assert (folder.kind, folder.classes) == ("detection", ["occlusion", "stenosis"])
    assert folder.manifest["skipped"] == {}
    for split, items in folder.splits.items():
        assert sorted(map(_number, items)) == list(NUMBERS[split])
        for item in items:
            assert item["boxes"] == _boxes(_number(item))


def test_lists_of_voc_give_the_split(tmp_path, prepare):
    for number in range(6):
        save(tmp_path / f"raw/JPEGImages/{number}.jpg", picture(number, 40, 44))
        path = tmp_path / f"raw/Annotations/{number}.xml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(_xml(_objects(number)))
    with pytest.raises(InputError, match=r"Annotations/\*\.xml \(VOC\): no split; give"):
        prepare("detection")
    lists = tmp_path / "raw" / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("0\n1\n2\n")
    (lists / "test.txt").write_text("3\n4\n")
    (lists / "trainval.txt").write_text("0\n1\n2\n")
    folder = prepare("detection")
    assert {s: sorted(map(_number, i)) for s, i in folder.splits.items()} == {
        "train": [0, 1, 2],
        "test": [3, 4],
    }
    assert folder.manifest["skipped"]["no split"]["count"] == 1


def test_selected_classes_and_images_without_them(tmp_path, prepare, opened):
    _write(tmp_path / "raw", "outside")
    folder = prepare("detection", classes="occlusion")
    found = {_number(i): i["boxes"] for items in folder.splits.values() for i in items}
    assert found == {n: [[1, 1, 9, 30, 0]] if n % 2 else [] for n in range(7)}
    with pytest.raises(InputError, match="unknown class 'plaque'"):
        opened(classes="plaque")


def test_hostile_files(tmp_path, prepare):
    _write(tmp_path / "raw", "outside")
    train = tmp_path / "raw" / "Annotations" / "train"
    (train / "0.xml").write_text(_xml([("stenosis", (1, 2, 90, 20))], (40, 44)))  # clipped
    (train / "1.xml").write_text(_xml([("stenosis", (60, 2, 90, 20))]))  # outside
    (train / "2.xml").write_text("<annotation>")
    (train / "3.xml").write_text(_xml([("stenosis", (1, 2, 90, 20))], (80, 100)))
    (train / "8.xml").write_text(_xml(_objects(1)))
    (train / "9.XML").write_text(_xml([]))
    save(tmp_path / "raw/images/train/9.PNG", picture(9, 40, 44))
    save(tmp_path / "raw/images/train/7.png", picture(7, 40, 44))
    folder = prepare("detection")
    assert {k: v["count"] for k, v in folder.manifest["skipped"].items()} == {
        "annotation without an image": 1,
        "box clipped to the image": 1,
        "box for a different image size": 1,
        "box outside the image": 1,
        "damaged annotation": 1,
        "image without an annotation": 1,
        "listed size differs from the image": 1,
        "no object in the annotation": 1,
        "no usable box": 2,
    }
    boxes = {_number(item): item["boxes"] for item in folder.splits["train"]}
    assert boxes == {0: [[1, 2, 44, 20, 1]], 9: []}

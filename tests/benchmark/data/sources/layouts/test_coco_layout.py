"""COCO files of a user: outlines and boxes against pycocotools and what was written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as rle
from raw_layouts import picture, save

from benchmark.errors import InputError

SIZE = (40, 44)
CATEGORIES = [{"id": 3, "name": "Catheter"}, {"id": 1, "name": "vessel"}]
BOX = [5.0, 6.0, 12.0, 9.0]  # x, y, width, height
TRIANGLE = [10.0, 4.0, 30.0, 4.0, 10.0, 33.0]


def _run_lengths(mask: np.ndarray, compressed: bool) -> dict[str, Any]:
    if compressed:
        coded = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
        return {"size": coded["size"], "counts": coded["counts"].decode()}
    column = mask.T.ravel().astype(int)
    edges = np.flatnonzero(np.diff(column)) + 1
    runs = np.diff([0, *edges, column.size]).tolist()
    return {"size": list(mask.shape), "counts": [0] * int(column[0]) + runs}


def _blob(number: int) -> np.ndarray:
    return picture(100 + number, *SIZE) < 70


def _content(
    numbers: range, names: str = "{n}.png", outlines: bool = True, first: int = 1
) -> dict[str, Any]:
    """Each image has a blob of class vessel (run lengths) and a triangle of class catheter."""
    images, annotations = [], []
    for index, number in enumerate(numbers, start=first):
        file = names.format(n=number)
        images.append({"id": index, "file_name": file, "height": SIZE[0], "width": SIZE[1]})
        for category in (1, 3):
            entry = {"id": len(annotations), "image_id": index, "category_id": category}
            entry |= {"bbox": BOX if category == 1 else [10, 4, 20, 29], "iscrowd": 0}
            if outlines and category == 1:
                entry["segmentation"] = _run_lengths(_blob(number), compressed=number % 2 == 0)
            elif outlines:
                entry["segmentation"] = [TRIANGLE]
            annotations.append(entry)
    return {"images": images, "annotations": annotations, "categories": CATEGORIES}


def _dump(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


NUMBERS = {"train": range(4), "test": range(4, 7)}
# Folder of the images, annotation file, how the file calls an image.
LAYOUTS = {
    "coco": ("images/{split}2017", "annotations/instances_{split}2017.json", "{n}.png"),
    "beside": ("{split}", "{split}/_annotations.coco.json", "{n}.png"),
    "inside": ("{split}/images", "{split}/annotations/instances_default.json", "{n}.png"),
    "flat": ("images", "annotations/{split}.json", "images/{n}.png"),
    "deeper": ("data/{split}/images", "data/annotations/{split}.json", "{n}.png"),
}


def _write(root: Path, layout: str, outlines: bool = True) -> None:
    images, annotations, names = LAYOUTS[layout]
    for split, numbers in NUMBERS.items():
        for number in numbers:
            path = root / images.format(split=split) / f"{number}.png"
            save(path, picture(number, *SIZE))
        _dump(root / annotations.format(split=split), _content(numbers, names, outlines))


def _number(item: dict) -> int:
    return int(Path(item["path"]).stem)


def _reasons(folder) -> dict[str, int]:
    return {reason: entry["count"] for reason, entry in folder.manifest["skipped"].items()}


def _triangle() -> np.ndarray:
    """A pixel belongs to it if its centre does: x ≥ 10, y ≥ 4, below the long side."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    return (x >= 10) & (y >= 4) & ((x - 10) / 20 + (y - 4) / 29 < 1)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_outlines_are_those_of_pycocotools(tmp_path, prepare, layout):
    _write(tmp_path / "raw", layout)
    folder = prepare("segmentation", name="mine")
    assert folder.classes == ["background", "vessel", "catheter"]
    found = {split: sorted(map(_number, items)) for split, items in folder.splits.items()}
    assert found == {split: list(numbers) for split, numbers in NUMBERS.items()}
    assert _reasons(folder) == {}
    for split, items in folder.splits.items():
        for item in items:
            vessel, catheter = folder.channels(split, item["stem"])
            coded = _run_lengths(_blob(_number(item)), compressed=True)
            np.testing.assert_array_equal(vessel, rle.decode(coded).astype(bool))
            np.testing.assert_array_equal(catheter, _triangle())
            # pycocotools rounds corners to pixels, which moves an outline by half a pixel.
            drawn = rle.decode(rle.frPyObjects([TRIANGLE], *SIZE))[..., 0].astype(bool)
            assert (drawn != catheter).sum() < 0.12 * drawn.sum()


@pytest.mark.parametrize("layout", ["coco", "flat"])
def test_boxes_and_classes(tmp_path, prepare, opened, layout):
    _write(tmp_path / "raw", layout, outlines=False)
    assert opened().forms == ("detection", "pack")
    folder = prepare("detection")
    assert folder.classes == ["vessel", "catheter"]
    for items in folder.splits.values():
        for item in items:
            assert item["boxes"] == [[5, 6, 17, 15, 0], [10, 4, 30, 33, 1]]
    only = prepare("detection", classes="Catheter")
    assert only.classes == ["catheter"]
    assert [i["boxes"] for i in only.splits["test"]] == [[[10, 4, 30, 33, 0]]] * 3
    swapped = prepare("detection", classes="catheter,vessel")
    assert swapped.splits["test"][0]["boxes"] == [[5, 6, 17, 15, 1], [10, 4, 30, 33, 0]]
    with pytest.raises(InputError, match="unknown class 'vesel'; did you mean 'vessel'"):
        opened(classes="vesel")
    with pytest.raises(InputError, match="not annotated for segmentation; it has detection"):
        prepare("segmentation")


def test_images_of_one_name_in_several_folders(tmp_path, prepare):
    content = _content(range(6), "p{n}/1.png")
    for number in range(6):
        save(tmp_path / f"raw/images/p{number}/1.png", picture(number, *SIZE))
    _dump(tmp_path / "raw" / "annotations.json", content)
    folder = prepare("segmentation", test_fraction=0.34)
    assert {split: len(items) for split, items in folder.splits.items()} == {"train": 4, "test": 2}
    for split, items in folder.splits.items():
        for item in items:
            number = int(item["path"].split("/")[1][1:])
            vessel, _ = folder.channels(split, item["stem"])
            np.testing.assert_array_equal(vessel, _blob(number))
    content["images"][0]["file_name"] = "1.png"
    _dump(tmp_path / "raw" / "annotations.json", content)
    assert _reasons(prepare("segmentation", test_fraction=0.34)) == {
        "several images of the listed name": 1,
        "unlisted image": 1,
    }


def test_unusable_entries_are_reported(tmp_path, prepare):
    _write(tmp_path / "raw", "flat", outlines=False)
    path = tmp_path / "raw" / "annotations" / "train.json"
    content = _content(NUMBERS["train"], "images/{n}.png", outlines=False)
    content["images"].append({"id": 99, "file_name": "images/absent.png"})
    content["images"].append({"id": 98, "file_name": "images/4.png"})  # a test image
    first, second, third = content["annotations"][:3]
    first["bbox"] = [30.0, 30.0, 100.0, 100.0]  # beyond the image: clipped
    second["bbox"] = [60.0, 50.0, 5.0, 5.0]  # outside
    third["bbox"] = [1, 2, "3", 4]
    content["annotations"][3]["iscrowd"] = 1  # image 2 has no usable box
    content["annotations"][5]["category_id"] = 7
    content["annotations"][7]["bbox"] = [0.1, 0.2, 0.3, 0.4]
    _dump(path, content)
    save(tmp_path / "raw/images/50.png", picture(50, *SIZE))
    save(tmp_path / "raw/images/60.png", picture(60, *SIZE))
    content = _content(NUMBERS["test"], "images/{n}.png", outlines=False)
    content["images"].append({"id": 97, "file_name": "images/60.png"})  # annotated as empty
    _dump(path.with_name("test.json"), content)
    folder = prepare("detection")
    assert _reasons(folder) == {
        "annotation of an unknown category": 1,
        "box clipped to the image": 1,
        "box in normalised coordinates, not pixels": 1,
        "box outside the image": 1,
        "damaged box": 1,
        "image listed twice": 1,
        "listed image missing": 1,
        "no object in the annotation": 2,
        "no usable annotation": 1,
        "no usable box": 1,
        "region of a crowd, not a box": 1,
        "unlisted image": 1,
    }
    boxes = {_number(item): item["boxes"] for item in folder.splits["train"]}
    # Image 4 is listed in train.json too, without annotations: the first list counts.
    assert boxes == {
        0: [[30, 30, 44, 40, 0]],
        2: [[5, 6, 17, 15, 0]],
        3: [[5, 6, 17, 15, 0]],
        4: [],
    }
    assert {_number(item): len(item["boxes"]) for item in folder.splits["test"]} == {
        5: 2,
        6: 2,
        60: 0,
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"it holds annotations, images; .*train\.json: not JSON|it holds .*train\.json: "),
        ("{}", "does not look like paired.*it holds annotations, images"),
        ('{"images": [], "annotations": [], "categories": []}', "no usable frame"),
        ("[]", "not a JSON object"),
        ('{"images": 3}', "does not look like paired"),
    ],
)
def test_empty_and_other_files_are_one_line(tmp_path, prepare, content, message):
    save(tmp_path / "raw" / "images" / "1.png", picture(1, *SIZE))
    _dump(tmp_path / "raw" / "annotations" / "train.json", content)
    with pytest.raises(InputError, match=message) as caught:
        prepare("detection")
    assert "\n" not in str(caught.value)


def test_other_json_files_do_not_matter(tmp_path, prepare):
    _write(tmp_path / "raw", "coco")
    for content, name in (("[1, 2]", "results.json"), ("{", "annotations/notes.json")):
        _dump(tmp_path / "raw" / name, content)
    assert prepare("segmentation").manifest["counts"]["kept"] == 7


def test_a_choice_between_masks_and_coco_is_left_to_the_user(tmp_path, prepare, opened):
    _write(tmp_path / "raw", "coco")
    for split, numbers in NUMBERS.items():
        for number in numbers:
            save(tmp_path / f"raw/masks/{split}2017/{number}.png", _triangle())
    with pytest.raises(InputError, match=r"holds images.* \(layout=masks\) and .* \(layout=coco\)"):
        prepare("segmentation")
    assert opened(layout="masks").classes == ("vessel",)
    assert prepare("segmentation", layout="coco").classes[1:] == ["vessel", "catheter"]
    assert prepare("detection").classes == ["vessel", "catheter"]  # which masks do not give


def test_a_prepared_task_can_be_read_again(tmp_path, prepare):
    _write(tmp_path / "raw", "coco")
    first = prepare("segmentation")
    shutil.rmtree(tmp_path / "raw")
    shutil.copytree(first.path, tmp_path / "raw")
    second = prepare("segmentation")
    for split, items in first.splits.items():
        again = second.splits[split]
        for key in ("sha256_image", "sha256_channels"):
            assert [item[key] for item in items] == [item[key] for item in again]

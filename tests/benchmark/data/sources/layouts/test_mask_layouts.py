"""Images and masks of a user in every accepted layout: counts and pixels are those written."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_layouts import picture, save

from benchmark.data.formats.images import read_grayscale
from benchmark.errors import InputError

NUMBERS = {"train": range(4), "val": range(4, 6), "test": range(6, 9)}
LAYOUTS = {
    "inside": "{split}/images|{split}/masks",
    "outside": "images/{split}|masks/{split}",
    "mmsegmentation": "img_dir/{split}|ann_dir/{split}",
    "annotations": "images/{split}|annotations/{split}",
    "nested": "data/images/{split}/p{number}|data/masks/{split}/p{number}",
}
NAMES = (
    {"train": "train", "val": "val", "test": "test"},
    {"train": "Training", "val": "valid", "test": "TESTING"},
    {"train": "train", "val": "validation", "test": "testing"},
)


def _mask(number: int) -> np.ndarray:
    return picture(100 + number, 40, 44) < 90


def _write(root: Path, layout: str, names: dict[str, str], mask=None) -> None:
    for split, numbers in NUMBERS.items():
        for number in numbers:
            folders = layout.format(split=names.get(split, ""), number=number).split("|")
            save(root / folders[0] / f"{number}.png", picture(number, 40, 44))
            label = _mask(number) if mask is None else mask(number)
            save(root / folders[1] / f"{number}.png", label)


def _number(item: dict) -> int:
    return int(Path(item["path"]).stem)


def _reasons(folder) -> dict[str, int]:
    return {reason: entry["count"] for reason, entry in folder.manifest["skipped"].items()}


@pytest.mark.parametrize("names", NAMES, ids=["usual", "capitals", "long"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_split_folders_give_the_frames_and_masks_written(tmp_path, prepare, layout, names):
    _write(tmp_path / "raw", LAYOUTS[layout], names)
    folder = prepare("segmentation", name="mine")
    assert (folder.task, folder.classes) == ("mine", ["background", "vessel"])
    found = {split: sorted(map(_number, items)) for split, items in folder.splits.items()}
    assert found == {split: list(numbers) for split, numbers in NUMBERS.items()}
    for split, items in folder.splits.items():
        for item in items:
            number, stem = _number(item), item["stem"]
            image = read_grayscale(folder.image(split, stem))
            np.testing.assert_array_equal(image, picture(number, 40, 44))
            np.testing.assert_array_equal(folder.channels(split, stem), _mask(number)[None])
    assert _reasons(folder) == {}


def test_the_layout_is_named(tmp_path, opened):
    _write(tmp_path / "raw", LAYOUTS["outside"], NAMES[1])
    found = opened().layout
    assert found.startswith("images/{Training,valid,TESTING} + masks/{Training,valid,TESTING} in ")
    assert found.endswith("raw; classes: vessel")
    shutil.move(tmp_path / "raw" / "images" / "TESTING", tmp_path / "raw" / "images" / "notes")
    with pytest.raises(InputError, match=r"images: no folder for test, which .*masks has"):
        opened()
    _write(tmp_path / "raw", LAYOUTS["inside"], NAMES[0])
    with pytest.raises(InputError, match=r"holds both .*; keep one of the two layouts"):
        opened()


FLAT = "images|masks"


def test_a_flat_folder_is_split_by_patient_with_a_seed(tmp_path, prepare, opened):
    for patient in range(10):
        for frame in range(2):
            save(tmp_path / f"raw/images/p{patient}_{frame}.png", picture(patient, 40, 44))
            save(tmp_path / f"raw/masks/p{patient}_{frame}.png", _mask(patient))
    with pytest.raises(InputError, match=r"images \+ masks: no split; give --option test_fraction"):
        prepare("segmentation")
    folder = prepare("segmentation", test_fraction=0.3, seed=1)
    groups = {s: {item["group"] for item in items} for s, items in folder.splits.items()}
    assert {split: len(found) for split, found in groups.items()} == {"train": 7, "test": 3}
    assert not groups["train"] & groups["test"]
    assert folder.manifest["split"] == {
        "origin": "by patient, 0.3 of the frames are test, seed 1",
        "official": False,
    }
    again = prepare("segmentation", test_fraction=0.3, seed=1)
    assert again.split_hash == folder.split_hash
    assert prepare("segmentation", test_fraction=0.3, seed=2).split_hash != folder.split_hash
    source = opened(test_fraction=0.5, group="none")
    assert Counter(frame.split for frame in source.frames()) == {"train": 10, "test": 10}
    assert "by file where the patient is not known" in source.split_note


def test_a_split_file_of_images_and_patients(tmp_path, prepare, opened):
    _write(tmp_path / "raw", FLAT, {})
    listed = tmp_path / "split.csv"
    listed.write_text("name,split\n0,train\n1.png,train\nimages/2.png,test\n3,val\n77,test\n")
    folder = prepare("segmentation", split_file=listed)
    found = {split: sorted(map(_number, items)) for split, items in folder.splits.items()}
    assert found == {"train": [0, 1], "test": [2], "val": [3]}
    assert _reasons(folder) == {
        "frame not in the split list": 5,
        "no split": 5,
        "listed name without a frame": 1,
    }
    (tmp_path / "raw" / "patients.csv").write_text(
        "name,patient\n" + "".join(f"{n},{'AB'[n % 2]}\n" for n in range(9))
    )
    listed.write_text("A,train\nB,test\n")
    splits = {Path(f.path).stem: f.split for f in opened(split_file=listed).frames()}
    assert splits == {str(n): ("train", "test")[n % 2] for n in range(9)}
    with pytest.raises(InputError, match="give only one of them"):
        opened(split_file=listed, test_fraction=0.2)
    listed.write_text("A,train\n")
    with pytest.raises(InputError, match=r"only train, no test split; list some .* split\.csv"):
        prepare("segmentation", split_file=listed)


def test_given_splits_are_not_split_again_and_a_test_split_is_needed(tmp_path, prepare, opened):
    _write(tmp_path / "raw", LAYOUTS["inside"], NAMES[0])
    with pytest.raises(InputError, match="already give the splits test, train, val; leave it out"):
        list(opened(test_fraction=0.2).frames())
    shutil.rmtree(tmp_path / "raw" / "test")
    with pytest.raises(InputError, match="only train, val, no test split; add one"):
        prepare("segmentation")


def test_patients_by_every_rule_and_leakage_between_splits(tmp_path, opened):
    for split, names in {"train": ("p1/7_a", "p2/8_b"), "test": ("p2/8_c", "p3/9_d")}.items():
        for name in names:
            save(tmp_path / f"raw/images/{split}/{name}.png", picture(1, 40, 44))
            save(tmp_path / f"raw/masks/{split}/{name}.png", _mask(1))

    def groups(rule: str) -> tuple[list[str | None], int]:
        source = opened(group=rule)
        found = [frame.group for frame in source.frames()]
        return found, source.report.counts["patient in two splits"]

    by_folder = [f"paired/p{n}" for n in (1, 2, 2, 3)]
    assert groups("auto") == groups("folder") == (by_folder, 1)
    assert groups("prefix") == ([f"paired/{n}" for n in (7, 8, 8, 9)], 1)
    assert groups("none") == groups("list") == ([None] * 4, 0)
    (tmp_path / "raw" / "patients.csv").write_text("name,patient\n7_a,X\n8_b,X\n8_c,Y\n9_d,Y\n")
    assert groups("auto") == groups("list") == ([f"paired/{n}" for n in "XXYY"], 0)


# several classes


def _labels(number: int) -> np.ndarray:
    return np.digitize(picture(100 + number, 40, 44), (90, 160)).astype(np.uint8)


def _palette(labels: np.ndarray, colours: int = 3) -> Image.Image:
    image = Image.fromarray(labels, mode="P")
    image.putpalette([0, 0, 0, 9, 9, 9, 200, 0, 0, 0, 250, 0][: 3 * colours])
    return image


ENCODINGS = {
    "gray": Image.fromarray,
    "palette": _palette,
    "16 bits": lambda labels: Image.fromarray(labels.astype(np.uint16)),
    "rgb": lambda labels: Image.fromarray(np.dstack([labels] * 3)),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_class_indices_in_every_encoding(tmp_path, prepare, encoding):
    _write(tmp_path / "raw", LAYOUTS["outside"], NAMES[0], _labels)
    for file in sorted((tmp_path / "raw" / "masks").rglob("*.png")):
        ENCODINGS[encoding](_labels(int(file.stem))).save(file)
    folder = prepare("segmentation", classes="background, lumen,catheter")
    assert folder.classes == ["background", "lumen", "catheter"]
    for split, items in folder.splits.items():
        for item in items:
            labels = _labels(_number(item))
            expected = np.stack([labels == 1, labels == 2])
            np.testing.assert_array_equal(folder.channels(split, item["stem"]), expected)
    assert folder.manifest["counts"]["kept"] == 9


def test_unusable_masks_are_refused_by_reason(tmp_path, prepare):
    _write(tmp_path / "raw", FLAT, {}, _labels)
    masks = tmp_path / "raw" / "masks"
    save(masks / "0.png", _labels(0) + 1)
    ignored = _labels(1)
    ignored[0, 0] = 255
    save(masks / "1.png", ignored)
    save(masks / "2.png", _labels(2)[:-1])
    (masks / "3.png").unlink()
    Image.fromarray(_labels(3)).save(masks / "3.jpg")
    save(masks / "4.png", np.dstack([_labels(4), _labels(5), _labels(6)]))
    (masks / "5.png").write_bytes(b"")
    folder = prepare("segmentation", classes="lumen,catheter", test_fraction=0.5, group="none")
    assert _reasons(folder) == {
        "mask: value beyond the classes": 2,
        "mask and image differ in size": 1,
        "mask: JPEG, which does not keep class indices": 1,
        "mask: colours instead of class indices": 1,
        "mask: empty file": 1,
    }
    with pytest.raises(InputError, match="class indices; name the classes, --option classes=NAME"):
        prepare("segmentation", test_fraction=0.5, group="none")


@pytest.mark.parametrize("classes", ["background", ",", "a,a", ",".join(map(str, range(32)))])
def test_unusable_lists_of_classes(tmp_path, opened, classes):
    _write(tmp_path / "raw", FLAT, {})
    with pytest.raises(InputError, match="option classes="):
        opened(classes=classes)


# hostile files


def test_hidden_doubled_unpaired_and_deep_files(tmp_path, prepare):
    root = tmp_path / "raw"
    _write(root, LAYOUTS["outside"], NAMES[0])
    images, masks = root / "images" / "train", root / "masks" / "train"
    save(images / "._0.png", picture(1))  # archives of macOS hold such files
    save(masks / ".hidden.png", picture(1))
    (masks / "Thumbs.db").write_bytes(b"x")
    save(images / "50.png", picture(50, 40, 44))
    save(masks / "60.png", _mask(60))
    save(images / "1.jpg", picture(1, 40, 44))  # the stem of 1.png
    (images / "2.png").rename(images / "2.PNG")
    (masks / "3.png").rename(masks / "3_Mask.png")
    for number in range(9):
        split = next(split for split, numbers in NUMBERS.items() if number in numbers)
        file = next((root / "images" / split).glob(f"{number}.[pP]*"))
        deep = picture(number, 40, 44).astype(np.uint16) * 16
        Image.fromarray(deep).save(file, format="png")
    folder = prepare("segmentation")
    assert _reasons(folder) == {
        "image without a mask": 1,
        "mask without an image": 1,
        "duplicate name": 1,
    }
    kept = {_number(item): item for item in folder.splits["train"]}
    # 12 of 16 bits, one white level for all: 4095.
    for number in (0, 2, 3):
        image = read_grayscale(folder.image("train", kept[number]["stem"]))
        expected = np.rint(picture(number, 40, 44) * (16 * 255 / 4095))
        np.testing.assert_array_equal(image, expected)
        channels = folder.channels("train", kept[number]["stem"])
        np.testing.assert_array_equal(channels, _mask(number)[None])
    assert sorted(kept) == [0, 1, 2, 3]


def test_soft_masks_are_thresholded_above_127(tmp_path, prepare):
    soft = {}
    for number in range(9):
        mask = Image.fromarray(_mask(number)).convert("L").resize((88, 80), Image.BILINEAR)
        soft[number] = np.asarray(mask)
        save(tmp_path / f"raw/images/{number}.png", picture(number, 80, 88))
        save(tmp_path / f"raw/masks/{number}.png", soft[number])
    folder = prepare("segmentation", test_fraction=0.5)
    for split, items in folder.splits.items():
        for item in items:
            expected = soft[_number(item)][None] > 127
            np.testing.assert_array_equal(folder.channels(split, item["stem"]), expected)


def test_what_is_no_layout_is_one_line(tmp_path, opened):
    root = tmp_path / "raw"
    save(root / "pictures" / "1.png", picture(1))
    (root / "notes.txt").touch()
    with pytest.raises(InputError) as caught:
        opened()
    message = str(caught.value)
    assert "{train,val,test}/{images,masks}" in message
    assert message.endswith("; it holds notes.txt, pictures")
    assert "\n" not in message
    save(root / "images" / "1.png", picture(1))
    for name in ("masks", "labels"):
        save(root / name / "1.png", picture(1) < 90)
    with pytest.raises(InputError, match="labels and masks may both be meant; keep one"):
        opened()
    shutil.rmtree(root / "labels")
    save(root / "train" / "images" / "1.png", picture(1))
    save(root / "training" / "images" / "1.png", picture(1))
    for name in ("train", "training"):
        save(root / name / "masks" / "1.png", picture(1) < 90)
    shutil.rmtree(root / "masks")
    with pytest.raises(InputError, match=r"training: a second train folder, besides .*train; keep"):
        opened()

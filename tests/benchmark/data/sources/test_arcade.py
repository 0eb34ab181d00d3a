"""ARCADE: both layouts, all three tasks, every planted defect counted."""

from __future__ import annotations

import itertools
import json
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from raw_layouts import picture, save
from reading import read_all
from scipy.ndimage import binary_fill_holes

from benchmark.data.frame import UnreadableFrame
from benchmark.data.sources import open_source
from benchmark.data.sources.arcade import SEGMENTS
from benchmark.data.synthetic.raw import RawDataset
from benchmark.data.synthetic.raw.arcade import CHALLENGE, PUBLISHED, write_subset
from benchmark.data.synthetic.raw.stenosis import patients_with_stenoses
from benchmark.data.tasks import write_task_folder
from benchmark.errors import InputError


@pytest.mark.parametrize("layout", ["arcade", "arcade_challenge"])
def test_masks_are_the_true_ones(raw, read, layout):
    written = raw(layout)
    vessel, segments = (
        {int(Path(path).stem): mask for path, mask in reading.annotations.items()}
        for reading in (read(layout), read(layout, task="arcade_vs"))
    )
    # Image N shows patient N - 1; nothing is outlined in image 92.
    assert sorted(vessel) == sorted(segments) == [*range(1, 11), 92]
    assert not segments.pop(92).any()
    for number, masks in segments.items():
        drawn = written.draw(number - 1).segments
        for label, mask in enumerate(masks, start=1):
            truth = drawn == label
            if number != 6:  # its truth is given as run lengths, and polygons have no holes
                truth = binary_fill_holes(truth)
            if (number, label) != (1, 5):  # the polygons with defects are drawn on this one
                np.testing.assert_array_equal(mask, truth)
        np.testing.assert_array_equal(vessel[number][0], masks.any(0))


@pytest.mark.parametrize("places", [PUBLISHED, CHALLENGE], ids=["published", "challenge"])
def test_stenosis_masks_stay_on_their_own_images_although_ids_repeat(tmp_path, places):
    written = RawDataset(tmp_path, size=64)
    write_subset(written, "stenosis", places)
    assert written.skipped["duplicate annotation id"] > 1
    reading = read_all(open_source("arcade", tmp_path, task="arcade_s"))
    assert (reading.splits, reading.skipped) == (written.frames, written.skipped)
    masks = {int(Path(path).stem): mask for path, mask in reading.annotations.items()}
    patients = itertools.islice(patients_with_stenoses(written), 10)
    for number, patient in enumerate(patients, start=1):
        union = np.any([s.mask for s in written.draw(patient).stenoses], axis=0)
        np.testing.assert_array_equal(masks[number][0], union)


def test_published_counts_classes_and_frames(raw):
    root = raw("arcade", False).root
    source = open_source("arcade", root)
    assert (source.task, source.options) == ("arcade_v", {"task": "arcade_v"})
    assert source.official_split
    assert (source.expected, source.classes) == ({"frames": 1500}, ("vessel",))
    assert source.forms == ("segmentation", "pack")
    frames = list(source.frames())
    assert [frame.path for frame in frames[:2]] == [
        "syntax/train/images/1.png",
        "syntax/train/images/2.png",
    ]
    assert {frame.group for frame in frames} == {None}
    names = "1 2 3 4 5 6 7 8 9 9a 10 10a 11 12 12a 13 14 14a 15 16 16a 16b 16c 12b 14b"
    assert open_source("arcade", root, task="arcade_vs").classes == tuple(names.split())
    # Masks can be asked of a source that has not been walked, as in another process.
    again = open_source("arcade", root)
    np.testing.assert_array_equal(again.read_masks(frames[3]), source.read_masks(frames[3]))
    for raw_folder in (root / "arcade", root / "arcade" / "syntax"):
        assert list(open_source("arcade", raw_folder).frames()) == frames


def test_aaai_split_trains_on_the_val_images(raw):
    """The frames of val, called train; those of train are skipped; test is the same."""
    root = raw("arcade", False).root
    published = list(open_source("arcade", root).frames())
    source = open_source("arcade", root, train="val")
    frames = list(source.frames())
    for split, folder in (("train", "val"), ("test", "test")):
        paths = [frame.path for frame in frames if frame.split == split]
        assert paths == [frame.path for frame in published if frame.split == folder] != []
        assert all(f"/{folder}/" in path for path in paths)
    assert {frame.split for frame in frames} == {"train", "test"}
    assert source.options == {"task": "arcade_v", "train": "val"}
    assert not source.official_split
    assert source.read_masks(frames[0]).any()


# small trees written by hand


def _write(root: Path, images, annotations, categories=None, split="train") -> Path:
    folder = root / "syntax" / split
    for number in (1, 2):
        save(folder / "images" / f"{number}.png", picture(number))
    names = (*SEGMENTS, "stenosis")
    if categories is None:
        categories = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    (folder / "annotations" / f"{split}.json").write_text(json.dumps(content))
    return root


IMAGES = [{"id": 7, "file_name": "2.png"}, {"id": 3, "file_name": "1.png"}]
SQUARE = [[4, 6, 14, 6, 14, 20, 4, 20]]


def _annotation(image=3, category=5, segmentation=SQUARE, number=1):
    fields = ("id", "image_id", "category_id", "segmentation")
    return dict(zip(fields, (number, image, category, segmentation)))


def _masks(root, task="arcade_vs"):
    source = open_source("arcade", root, task=task)
    return [_read(source, frame) for frame in source.frames()], dict(source.report.counts)


def _read(source, frame):
    try:
        return source.read_masks(frame)
    except UnreadableFrame as error:
        return str(error)


SPLITS_ABSENT = {"split missing": 2}


def test_classes_follow_names_not_ids(tmp_path):
    categories = [{"id": 5, "name": "10"}, {"id": 11, "name": " 5 "}, {"id": 4, "name": 16}]
    annotations = [_annotation(3, 5), _annotation(7, 11, number=2), _annotation(7, 4, number=3)]
    (first, second), skipped = _masks(_write(tmp_path, IMAGES, annotations, categories))
    assert skipped == SPLITS_ABSENT
    assert first.any((1, 2)).nonzero()[0].tolist() == [SEGMENTS.index("10")]
    assert second.any((1, 2)).nonzero()[0].tolist() == [SEGMENTS.index("5"), SEGMENTS.index("16")]
    assert first[SEGMENTS.index("10")].sum() == 10 * 14


def test_overlapping_segments_and_several_polygons_are_all_kept(tmp_path):
    two = [*SQUARE, [30, 30, 40, 30, 40, 40, 30, 40]]
    annotations = [_annotation(3, 5, two), _annotation(3, 6, SQUARE, number=2)]
    (masks, _), _ = _masks(_write(tmp_path, IMAGES, annotations))
    assert [masks[index].sum() for index in (4, 5)] == [140 + 100, 140]
    (vessel, _), _ = _masks(tmp_path, "arcade_v")
    assert vessel.sum() == 240


def test_compressed_run_lengths_are_read_and_oversized_ones_allocate_nothing(tmp_path):
    truth = picture(5) > 120
    packed = coco_mask.encode(np.asfortranarray(truth.astype(np.uint8)))
    segmentation = {"size": packed["size"], "counts": packed["counts"].decode()}
    (masks, _), skipped = _masks(_write(tmp_path, IMAGES, [_annotation(3, 5, segmentation)]))
    assert skipped == {**SPLITS_ABSENT, "image without an annotation": 1}
    np.testing.assert_array_equal(masks[4], truth)
    huge = {"size": [10**9, 10**9], "counts": [10**18]}
    (masks, empty), skipped = _masks(_write(tmp_path, IMAGES, [_annotation(3, 5, huge)]))
    assert masks == "no usable annotation"
    assert not empty.any()
    assert skipped["run lengths for a different size"] == 1


def test_entries_of_the_wrong_type_are_counted(tmp_path):
    odd = [None, 3, "x", [], {"id": True, "file_name": "1.png"}, {"id": 9, "file_name": 1}]
    notes = [None, {"image_id": [3]}, {"image_id": 3, "category_id": "5"}]
    categories = [{"id": 5, "name": "5"}, {"id": 5, "name": "6"}, {"id": "x"}, None]
    root = _write(tmp_path, [*IMAGES, *odd], [*notes, _annotation()], categories)
    (masks, other), skipped = _masks(root)
    assert masks[4].sum() == 140
    # The other image has no annotation, but a damaged one may be of it.
    assert other == "no usable annotation"
    assert skipped == {
        **SPLITS_ABSENT,
        "damaged image entry": 6,
        "damaged annotation entry": 2,
        "category id as text": 1,
        "duplicate category id": 1,
        "damaged category entry": 2,
    }


UNUSABLE = {
    "polygon outside the image": {"segmentation": [[value + 48 for value in SQUARE[0]]]},
    "annotation without a polygon": {"segmentation": [], "bbox": [4, 6, 10, 14]},
    "category id as text": {"category_id": "5"},
    "annotation of an unknown category": {"category_id": 99},
    "annotation of another task's category": {"category_id": 26},
    "run lengths for a different size": {"segmentation": {"size": [4, 4], "counts": [2, 14]}},
    "damaged run lengths": {"segmentation": {"size": [48, 48], "counts": "5"}},
    "damaged annotation entry": {"image_id": "3"},
}


def test_polygons_for_a_different_image_size_are_not_clipped(tmp_path):
    beyond = [[30, 30, 60, 30, 60, 60, 30, 60]]
    annotations = [_annotation(3, 5, beyond), _annotation(3, 6, SQUARE), _annotation(7, 5, beyond)]
    for sides in (96, 48, None):
        images = [{**image, "height": sides, "width": sides} for image in IMAGES]
        (first, second), skipped = _masks(_write(tmp_path, images, annotations))
        if sides == 96:
            assert (first[4].sum(), first[5].sum(), second) == (0, 140, "no usable annotation")
            assert skipped["polygon for a different image size"] == 2
            assert skipped["listed size differs from the image"] == 2
        else:
            assert [first[4].sum(), first[5].sum(), second[4].sum()] == [18 * 18, 140, 18 * 18]
            assert skipped["polygon clipped to the image"] == 2


@pytest.mark.parametrize("reason", UNUSABLE)
def test_an_unusable_annotation_is_not_an_empty_image(tmp_path, reason):
    root = _write(tmp_path, IMAGES, [{**_annotation(), **UNUSABLE[reason]}])
    for task in ("arcade_v", "arcade_vs"):
        (first, second), skipped = _masks(root, task)
        assert first == "no usable annotation"
        assert skipped[reason] == 1
        if reason == "damaged annotation entry":  # It may be of any image.
            assert second == "no usable annotation"
        else:
            assert not second.any()
            assert skipped["image without an annotation"] == 1
    # Where this is all there is, there is no task.
    both = [{**_annotation(image), **UNUSABLE[reason]} for image in (3, 7)]
    source = open_source("arcade", _write(tmp_path, IMAGES, both), task=task)
    with pytest.raises(InputError, match=f"no usable frame for segmentation .*{reason}: 2"):
        write_task_folder(source, tmp_path / "out", progress=False)


@pytest.mark.parametrize("name", ["1: stenosis", "26", "stenosis (CVAT)", "stenose"])
def test_near_misses_of_class_names_are_reported_and_not_used(tmp_path, name):
    root = _write(tmp_path, IMAGES, [_annotation(3, 5)], [{"id": 5, "name": name}])
    source = open_source("arcade", root)
    frame, _ = source.frames()
    assert _read(source, frame) == "no usable annotation"
    where = dict(source.report.items)["annotation of an unknown category"]
    assert where == f"syntax/train/images/1.png ({name.casefold()!r})"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not a JSON file"),
        ('{"images": [', "not a JSON file"),
        ("[" * 100_000, "not a JSON file"),
        ('{"images": ' + "9" * 5000 + "}", "not a JSON file"),
        ("[]", "not a JSON object"),
        ('{"images": []}', "no list 'annotations'"),
        ('{"images": {}, "annotations": []}', "no list 'images'"),
        (b"\xff\xfe{", "not UTF-8"),
    ],
    ids=lambda value: str(value)[:16],
)
def test_a_damaged_annotation_file_is_a_one_line_error(tmp_path, content, message):
    path = _write(tmp_path, IMAGES, []) / "syntax" / "train" / "annotations" / "train.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=rf"train\.json: .*{message}") as caught:
        list(open_source("arcade", tmp_path).frames())
    assert "\n" not in str(caught.value)


def test_copies_of_the_annotation_file(tmp_path):
    folder = _write(tmp_path, IMAGES, [_annotation()]) / "syntax" / "train" / "annotations"
    (folder / "train_old.json").write_text("broken")
    assert len(_masks(tmp_path)[0]) == 2
    shutil.move(folder / "train.json", folder / "train_new.json")
    with pytest.raises(InputError, match=r"annotations: holds no train\.json"):
        open_source("arcade", tmp_path)


def test_file_names_in_every_normal_form(tmp_path):
    root = _write(tmp_path, [], [])
    save(root / "syntax" / "train" / "images" / unicodedata.normalize("NFD", "é1.PNG"), picture(1))
    images = [{"id": 3, "file_name": unicodedata.normalize("NFC", "É1.png")}]
    (masks,), skipped = _masks(_write(tmp_path, images, [_annotation()]))
    assert masks[4].sum() == 140
    assert skipped == {**SPLITS_ABSENT, "unlisted image": 2}
    images = [{"id": 3, "file_name": "C:\\arcade\\images\\1.png"}]
    with pytest.raises(InputError, match=r"train\.json: image 0: .* Windows path; .*, as '1\.png'"):
        _masks(_write(tmp_path, images, [_annotation()]))


def test_a_missing_subset_and_a_second_split_are_refused(tmp_path):
    root = _write(tmp_path, IMAGES, [])
    with pytest.raises(InputError, match="no stenosis subset, which task arcade_s needs"):
        open_source("arcade", root, task="arcade_s")
    shutil.copytree(root / "syntax" / "train", root / "syntax" / "Training")
    with pytest.raises(InputError, match="a second train folder of the syntax subset"):
        open_source("arcade", root)

"""What is kept of a run to be looked at: the right images, and pictures of what was predicted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_layouts import MemorySource

from benchmark.data.frame import Frame
from benchmark.data.tasks import TaskFolder, write_task_folder
from benchmark.downstream.examples import (
    SIDE,
    evenly_spread,
    middle,
    read_example_image,
    resized,
    shown_size,
)
from benchmark.downstream.task import load_task
from benchmark.files import write_json
from benchmark.results import Example

HEIGHT, WIDTH = 384, 512  # shown at 192 × 256: every second pixel


@pytest.mark.parametrize(
    ("total", "count", "places"),
    [
        (10, 4, [0, 3, 6, 9]),
        (300, 4, [0, 100, 199, 299]),
        (3, 4, [0, 1, 2]),
        (4, 4, [0, 1, 2, 3]),
        (9, 1, [0]),
        (9, 0, []),
        (0, 4, []),
    ],
)
def test_images_are_spread_evenly_over_the_test_list(total, count, places):
    assert evenly_spread(range(total), count) == places


def test_pictures_are_shrunk_to_the_longest_side_and_never_grown():
    assert shown_size(512, 512) == (SIDE, SIDE)
    assert shown_size(HEIGHT, WIDTH) == (192, 256)
    assert shown_size(100, 80) == (100, 80)
    assert shown_size(3000, 2) == (256, 1)
    frame = np.arange(64, dtype=np.uint8).reshape(8, 8)
    np.testing.assert_array_equal(resized(frame, (8, 8)), frame)
    # Nearest neighbour: every value is one of those that were there.
    labels = np.array([[0, 25], [7, 0]], np.uint8).repeat(4, 0).repeat(4, 1)
    np.testing.assert_array_equal(resized(labels, (4, 4), labels=True), labels[::2, ::2])


def test_the_middle_of_a_picture_keeps_its_resolution():
    picture = np.random.default_rng(0).integers(0, 256, (300, 257), np.uint8)
    np.testing.assert_array_equal(middle(picture), picture[22:278, 0:256])
    np.testing.assert_array_equal(middle(picture[:40, :50]), picture[:40, :50])


def test_a_picture_of_one_bit_is_read_as_zeros_and_ones(tmp_path):
    mask = np.random.default_rng(0).random((9, 13)) < 0.5
    Image.fromarray(mask).save(tmp_path / "mask.png")
    found = read_example_image(tmp_path / "mask.png")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, mask)


class Annotated(MemorySource):
    """Three frames of noise of 384 × 512, two to test on; a bar, and boxes around nothing."""

    forms = ("segmentation", "detection", "denoising")
    boxes = np.array([[10.0, 20.0, 110.0, 220.0, 0], [0.0, 0.0, 511.0, 383.0, 0]])

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        super().__init__([rng.integers(1, 255, (HEIGHT, WIDTH), np.uint8) for _ in range(3)])

    def frames(self) -> Iterator[Frame]:
        for number in range(3):
            patient = f"memory/{number}"
            split = "test" if number else "train"
            place = (f"{number:03d}.png", patient, f"{patient}/v", number, split)
            yield Frame(self.name, *place, annotation="there")

    def read_masks(self, frame: Frame) -> np.ndarray:
        mask = np.zeros((1, HEIGHT, WIDTH), bool)
        mask[0, 100:140] = True
        return mask

    def read_boxes(self, frame: Frame) -> np.ndarray:
        return self.boxes


def _examples(folder: TaskFolder, predictions: Path) -> list[Example]:
    return load_task(folder.kind).build_examples(folder, folder.splits["test"], predictions)


def _items(folder: TaskFolder) -> list[str]:
    return [item["stem"] for item in folder.splits["test"]]


def _save(folder: Path, stem: str, picture: np.ndarray) -> None:
    folder.mkdir(exist_ok=True)
    Image.fromarray(picture).save(folder / f"{stem}.png")


def test_masks_are_kept_at_the_size_of_the_shown_frame(tmp_path):
    """Also where they were predicted at another size, as they are for scores at network size."""
    folder = write_task_folder(Annotated(), tmp_path / "task", "segmentation", progress=False)
    predictions = tmp_path / "predictions"
    rng = np.random.default_rng(1)
    full = rng.random((HEIGHT, WIDTH)) < 0.3
    for stem in _items(folder):
        _save(predictions, stem, full)
    (example, *_) = _examples(folder, predictions)
    frame = np.array(Image.open(folder.image("test", example.image)))
    # Smoothing over two pixels keeps the mean.
    assert example.frame.shape == (192, 256)
    assert example.frame.mean() == pytest.approx(frame.mean(), abs=1)
    truth = folder.channels("test", example.image)[0]
    # Of each block of 2 × 2 pixels nearest neighbour takes the same one, everywhere.
    blocks = [(r, c) for r in (0, 1) for c in (0, 1)]
    taken = [b for b in blocks if np.array_equal(example.prediction, full[b[0] :: 2, b[1] :: 2])]
    assert len(taken) == 1
    (row, column) = taken[0]
    np.testing.assert_array_equal(example.truth, truth[row::2, column::2])
    for stem in _items(folder):
        _save(predictions, stem, full[:96, :128])
    (example, *_) = _examples(folder, predictions)
    grown = full[:96, :128].repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(example.prediction, grown)


def test_boxes_are_kept_in_pixels_of_the_shown_frame(tmp_path):
    folder = write_task_folder(Annotated(), tmp_path / "task", "detection", progress=False)
    (stem, *_) = _items(folder)
    (image,) = (1 + place for place, name in enumerate(_items(folder)) if name == stem)
    detections = [
        {"image_id": image, "category_id": 1, "bbox": [20, 40, 100, 60], "score": 0.875},
        {"image_id": image, "category_id": 1, "bbox": [0.5, 1, 2, 3], "score": 0.25},
        {"image_id": image + 99, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1.0},
    ]
    write_json(tmp_path / "predictions" / "detections.json", detections)
    found = _examples(folder, tmp_path / "predictions")
    assert [example.image for example in found] == _items(folder)
    example = found[0]
    assert example.frame.shape == (192, 256)
    np.testing.assert_array_equal(example.truth, [[5, 10, 55, 110, 0], [0, 0, 255.5, 191.5, 0]])
    np.testing.assert_array_equal(
        example.prediction, [[10, 20, 60, 50, 0, 0.875], [0.25, 0.5, 1.25, 2, 0, 0.25]]
    )
    assert example.truth.dtype == example.prediction.dtype == np.float32
    write_json(tmp_path / "predictions" / "detections.json", [])
    assert _examples(folder, tmp_path / "predictions")[0].prediction.shape == (0, 6)


def test_denoised_frames_are_kept_at_their_own_resolution(tmp_path):
    folder = write_task_folder(Annotated(), tmp_path / "task", "denoising", progress=False)
    predictions = tmp_path / "predictions"
    denoised = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    for stem in _items(folder):
        _save(predictions, stem, denoised)
    example, _ = _examples(folder, predictions)
    cut = (slice(64, 320), slice(128, 384))
    np.testing.assert_array_equal(example.prediction, denoised[cut])
    np.testing.assert_array_equal(
        example.frame, read_example_image(folder.image("test", example.image))[cut]
    )
    np.testing.assert_array_equal(
        example.truth, read_example_image(folder.clean("test", example.image))[cut]
    )
    assert not np.array_equal(example.frame, example.truth)

"""Keyed augmentation, the order of samples, and the transforms against their formulas."""

from __future__ import annotations

import itertools
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import LoadImageFromFile, RandomFlip, Resize
from mmseg.datasets.transforms import PackSegInputs
from PIL import Image
from sklearn.metrics import f1_score

import benchmark.downstream.segmentation.dataset as dataset_module
from benchmark.data.tasks import TaskFolder
from benchmark.downstream.sampling import FineTuningSampler
from benchmark.downstream.segmentation.dataset import (
    BrightnessContrast,
    LoadTruth,
    SegmentationDataset,
    ShiftScaleRotate,
)
from benchmark.downstream.segmentation.model import class_masks
from benchmark.errors import InputError
from benchmark.randomness import permutation

COUNT = 7
LOAD = [dict(type=LoadImageFromFile, imdecode_backend="pillow"), dict(type=LoadTruth)]
TRAIN = [
    *LOAD,
    dict(type=Resize, scale=(64, 64), keep_ratio=False),
    dict(type=ShiftScaleRotate, probability=0.7),
    dict(type=BrightnessContrast),
    dict(type=RandomFlip, prob=0.5),
    dict(type=PackSegInputs),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> TaskFolder:
    """Seven 48² pictures, bright exactly where their mask is 1: one off-centre hook each."""
    path = tmp_path_factory.mktemp("hooks")
    items = [{"stem": f"hook{number}", "group": None} for number in range(COUNT)]
    manifest = {
        "kind": "segmentation",
        "task": "t",
        "classes": ["background", "vessel"],
        "split_hash": "",
    }
    task = TaskFolder(path, {**manifest, "splits": {"train": items, "test": items}})
    for kind in ("images", "masks"):
        for split in ("train", "test"):
            (path / kind / split).mkdir(parents=True)
    for number, item in enumerate(items):
        mask = np.zeros((48, 48), np.uint8)
        mask[8 + number : 34, 14:20] = 1
        mask[28:34, 14:36] = 1
        for split in task.splits:
            Image.fromarray(200 * mask + 20).save(task.image(split, item["stem"]))
            Image.fromarray(mask).save(task.mask(split, item["stem"]))
    return task


def pixels(item: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Grey image and mask of one item, H×W."""
    return item["inputs"][0].numpy(), item["data_samples"].gt_sem_seg.data[0].numpy()


def same(one: dict[str, Any], two: dict[str, Any]) -> bool:
    paths = [item["data_samples"].img_path for item in (one, two)]
    return paths[0] == paths[1] and all(map(np.array_equal, pixels(one), pixels(two)))


def test_items_are_read_with_their_mask_and_path(folder):
    dataset = SegmentationDataset(folder, "test", [*LOAD, dict(type=PackSegInputs)])
    assert len(dataset) == COUNT
    for index in range(COUNT):
        image, mask = pixels(dataset[index])
        stem = f"hook{index}"
        np.testing.assert_array_equal(image, np.asarray(Image.open(folder.image("test", stem))))
        np.testing.assert_array_equal(mask, np.asarray(Image.open(folder.mask("test", stem))))
        sample = dataset[index]["data_samples"]
        assert Path(sample.img_path) == folder.image("test", stem)


def test_an_item_depends_on_seed_epoch_and_index_only(folder, assert_keyed):
    build = partial(SegmentationDataset, folder, "train", TRAIN)
    assert_keyed(build, COUNT, same, alike=1)


def test_image_and_mask_move_together(folder):
    moving = [
        *LOAD,
        dict(type=Resize, scale=(96, 96), keep_ratio=False),
        dict(type=ShiftScaleRotate, shift=0.1, scale=0.2, rotate=30.0, probability=1.0),
        dict(type=RandomFlip, prob=0.5),
        dict(type=PackSegInputs),
    ]
    dataset = SegmentationDataset(folder, "train", moving)
    still = SegmentationDataset(folder, "train", [*LOAD, TRAIN[2], dict(type=PackSegInputs)])
    flips = 0
    for epoch in range(4):
        for index in range(COUNT):
            item = dataset[epoch, index]
            image, mask = pixels(item)
            assert f1_score((image > 110).ravel(), mask.ravel()) > 0.95
            resting = cv2.resize(pixels(still[index])[1], (96, 96), interpolation=0)
            assert f1_score(mask.ravel(), resting.ravel()) < 0.9, "it has moved"
            flips += bool(item["data_samples"].flip)
    assert 6 <= flips <= 22  # of 28 with probability 1/2


def _spot(height: int, width: int, row: int, column: int) -> dict[str, Any]:
    image = np.zeros((height, width, 3), np.uint8)
    image[row, column] = 255
    return {"img": image, "gt_seg_map": image[..., 0] // 255, "seg_fields": ["gt_seg_map"]}


def _draw(monkeypatch: pytest.MonkeyPatch, *values: float) -> None:
    monkeypatch.setattr(np.random, "random", lambda count: np.array(values))


@pytest.mark.parametrize(
    ("noise", "moved_to"),
    [
        # (chance, angle, zoom, right, down), each 1/2 in the middle of its range
        ((0.1, 0.5, 0.5, 0.5, 0.5), (10, 30)),
        ((0.1, 0.5, 0.5, 1.0, 0.5), (10, 34)),  # 0.1 of 40 to the right
        ((0.1, 0.5, 0.5, 0.5, 0.0), (8, 30)),  # 0.1 of 20 up
        ((0.6, 1.0, 1.0, 1.0, 1.0), (10, 30)),  # not applied
    ],
)
def test_shift_is_relative_to_each_side(monkeypatch, noise, moved_to):
    _draw(monkeypatch, *noise)
    results = ShiftScaleRotate(shift=0.1, scale=0.2, rotate=90.0).transform(_spot(20, 40, 10, 30))
    expected = _spot(20, 40, *moved_to)
    np.testing.assert_array_equal(results["img"], expected["img"])
    np.testing.assert_array_equal(results["gt_seg_map"], expected["gt_seg_map"])


def test_rotation_turns_about_the_centre_of_the_pixels(monkeypatch):
    """90° is what numpy's rot90 does, to the pixel; zeros come in when the picture shrinks."""
    image = np.random.default_rng(0).integers(0, 256, (21, 21, 3), np.uint8)
    results = {"img": image, "gt_seg_map": image[..., 0], "seg_fields": ["gt_seg_map"]}
    _draw(monkeypatch, 0.0, 1.0, 0.5, 0.5, 0.5)
    turned = ShiftScaleRotate(rotate=90.0).transform(dict(results))
    np.testing.assert_array_equal(turned["img"], np.rot90(image))
    np.testing.assert_array_equal(turned["gt_seg_map"], np.rot90(image[..., 0]))
    _draw(monkeypatch, 0.0, 0.5, 0.0, 0.5, 0.5)
    shrunk = ShiftScaleRotate(scale=0.5).transform(dict(results))["img"]
    np.testing.assert_array_equal(shrunk[5:16, 5:16], image[::2, ::2])
    assert not shrunk[:4].any()
    assert not shrunk[:, -4:].any()


@pytest.mark.parametrize(("gain", "offset"), [(0.5, 0.5), (1.0, 0.5), (0.5, 0.0), (0.1, 0.9)])
def test_brightness_contrast_is_its_formula(monkeypatch, gain, offset):
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    _draw(monkeypatch, 0.3, gain, offset)
    changed = BrightnessContrast(limit=0.2).transform({"img": image})["img"]
    alpha, beta = 1 + 0.2 * (2 * gain - 1), 0.2 * (2 * offset - 1)
    expected = np.clip(np.arange(256) * alpha + beta * 255, 0, 255)
    assert changed.dtype == np.uint8
    assert np.abs(changed[..., 0].reshape(-1) - expected).max() <= 0.5001
    _draw(monkeypatch, 0.8, gain, offset)
    untouched = BrightnessContrast(limit=0.2, probability=0.8).transform({"img": image})["img"]
    np.testing.assert_array_equal(untouched, image)


def test_brightness_contrast_spans_its_limits():
    image = np.full((1, 1, 3), 100, np.uint8)
    np.random.seed(0)  # noqa: NPY002
    values = [
        int(BrightnessContrast().transform({"img": image})["img"][0, 0, 0]) for _ in range(900)
    ]
    assert 29 <= min(values) < 45  # 100·0.8 − 51
    assert 155 < max(values) <= 171  # 100·1.2 + 51
    assert 0.15 < np.mean(np.equal(values, 100)) < 0.26  # not applied in one case of five


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_images_fill_an_epoch_of_all_with_augmentations_of_their_own(folder, count):
    """Drawn by the seed; every image equally often but for one."""
    few = SegmentationDataset(folder, "train", TRAIN, seed=4, count=count)
    assert (len(few), few.samples) == (count, COUNT)
    sampler = FineTuningSampler(few.samples, 3, seed=4)
    assert len(sampler) == len(FineTuningSampler(COUNT, 3, seed=4))
    items = [few[epoch, index] for epoch in (0, 1) for index in range(COUNT)]
    paths = [item["data_samples"].img_path for item in items]
    times = [paths[:COUNT].count(path) for path in set(paths)]
    assert len(times) == count
    assert max(times) - min(times) <= 1
    different = [a for a, b in itertools.combinations(items, 2) if same(a, b)]
    assert len(different) <= 2, "the same image looks different each time"
    assert same(few[0, 3], items[3])
    other = [SegmentationDataset(folder, "train", TRAIN, seed, count=count) for seed in range(9)]
    assert len({tuple(item["stem"] for item in one.items) for one in other}) > 2


def test_all_images_by_their_number_are_all_images(folder):
    """The items and their augmentations are those of a training without any option."""
    whole = SegmentationDataset(folder, "train", TRAIN, seed=4)
    counted = SegmentationDataset(folder, "train", TRAIN, seed=4, count=COUNT)
    for epoch, index in itertools.product(range(2), range(COUNT)):
        assert same(whole[epoch, index], counted[epoch, index])


def test_decoded_frames_are_those_of_their_image_whatever_is_drawn(folder, monkeypatch):
    """Draws of several seeds share what is in memory."""
    monkeypatch.setattr(dataset_module, "_PREPARED", {})
    for seed in range(4):
        drawn = SegmentationDataset(folder, "train", [*LOAD, TRAIN[-1]], seed=seed, count=3)
        for index, item in enumerate(drawn.items):
            truth = np.asarray(Image.open(folder.image("train", item["stem"])))
            np.testing.assert_array_equal(pixels(drawn[index])[0], truth)


@pytest.mark.parametrize(("length", "batch"), [(7, 3), (6, 3), (2, 5), (1, 4)])
def test_every_sample_comes_in_every_epoch(length, batch):
    sampler = FineTuningSampler(length, batch, seed=2)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(batches) == len(sampler) == -(-length // batch)
        assert [len(one) for one in batches] == [batch] * len(batches)
        assert {item_epoch for one in batches for item_epoch, _ in one} == {epoch}
        indices = [index for one in batches for _, index in one]
        order = permutation(2, epoch, length).tolist()
        assert indices[:length] == order
        # What fills the last batch is the order again from its start.
        assert indices[length:] == [order[i % length] for i in range(len(indices) - length)]


def test_classes_that_overlap_move_as_each_alone(folder):
    """25 masks in one picture of bits go through every transform as they would one by one."""
    rng = np.random.default_rng(0)
    masks = rng.random((25, 48, 48)) < 0.4
    dataset = SegmentationDataset(folder, "train", TRAIN, seed=5)
    dataset._prepared = {}  # of its own: the masks below are not the folder's
    for epoch in range(6):
        alone = []
        for mask in [masks, *(mask[None] for mask in masks)]:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(TaskFolder, "channels", lambda *_, mask=mask: mask)
                dataset._prepared.clear()
                alone.append(pixels(dataset[epoch, 0])[1])
        together = torch.from_numpy(alone[0].astype(np.int64))[None]
        np.testing.assert_array_equal(class_masks(together, 25)[0].numpy(), np.stack(alone[1:]))


def test_mask_of_another_size_is_named(folder):
    dataset = SegmentationDataset(folder, "test", LOAD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "_prepared", {})
        patch.setattr(TaskFolder, "channels", lambda *_: np.zeros((1, 48, 47), bool))
        with pytest.raises(InputError, match=r"hook0\.png: \(48, 48\) pixels, but its mask"):
            dataset[0]
        patch.setattr(TaskFolder, "channels", lambda *_: np.zeros((32, 48, 48), bool))
        with pytest.raises(InputError, match="32 classes: at most 31"):
            dataset[0]


def test_frames_kept_in_memory_are_the_frames_on_disk(folder, monkeypatch):
    """Later epochs and other seeds decode nothing, and equal what a fresh dataset reads."""
    cached = [SegmentationDataset(folder, "train", TRAIN, seed=seed) for seed in (1, 2)]
    first = [[d[epoch, i] for epoch in range(3) for i in range(COUNT)] for d in cached]
    monkeypatch.setattr(dataset_module, "CACHE_BYTES", 0)
    monkeypatch.setattr(dataset_module, "_PREPARED", {})
    for seed, items in zip((1, 2), first):
        fresh = SegmentationDataset(folder, "train", TRAIN, seed=seed)
        wanted = [fresh[epoch, i] for epoch in range(3) for i in range(COUNT)]
        assert all(same(one, two) for one, two in zip(items, wanted))
        assert not fresh._prepared
    monkeypatch.setattr(TaskFolder, "channels", None)
    assert all(same(cached[0][0, i], cached[0][0, i]) for i in range(COUNT))


def test_a_fraction_of_the_labels(folder):
    """2 of 7 frames for a quarter, among the 4 for a half."""
    stems = [
        [item["stem"] for item in SegmentationDataset(folder, "train", TRAIN, 0, f).items]
        for f in (0.25, 0.5, 1.0)
    ]
    assert [len(found) for found in stems] == [2, 4, 7]
    assert set(stems[0]) < set(stems[1]) < set(stems[2])
    assert len(SegmentationDataset(folder, "train", TRAIN, 0, 0.25)) == 2


def test_a_split_that_is_not_there_is_named(folder):
    with pytest.raises(InputError, match="has no split 'val', only test, train"):
        SegmentationDataset(folder, "val", TRAIN)
